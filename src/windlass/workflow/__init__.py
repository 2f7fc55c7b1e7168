"""The GitHub Actions language, pure: text and data in, decisions and data out.

Reading:      `parse(text, path)`, `parse_action(text, path)`, `reusable.parse_with_called(...)`
Triggers:     `triggered_by(workflow, event)`, `dispatch_inputs(workflow, given)`
Planning:     `decide_job(workflow, key, results, contexts)`, `next_legs(legs)`, `combine(legs)`,
              `conclude(workflow, results)`, `order`, `concurrency_of`, `run_name_of`, `permissions_of`
Expressions:  `windlass.workflow.expressions`: `evaluate`, `condition`, `interpolate`, `resolve`, `Scope`
Job process:  `windlass.workflow.jobs`: `JobSpec`, events
"""

from windlass.workflow.actions import ParsedAction, parse_action
from windlass.workflow.legs import Leg, Legs, combine, conclude, next_legs
from windlass.workflow.model import (
    Action,
    Concurrency,
    Decision,
    Environment,
    Event,
    Input,
    Invalid,
    Job,
    JobDecision,
    JobResult,
    Parsed,
    PlannedJob,
    Ready,
    Schedule,
    Skipped,
    Trigger,
    Waiting,
    Workflow,
    WorkflowError,
)
from windlass.workflow.parsing import Options, parse
from windlass.workflow.permissions import PERMISSIVE, RESTRICTED
from windlass.workflow.planning import concurrency_of, decide_job, order, permissions_of, run_name_of
from windlass.workflow.triggering import dispatch_inputs, triggered_by

__all__ = [
    "PERMISSIVE",
    "RESTRICTED",
    "Action",
    "Concurrency",
    "Decision",
    "Environment",
    "Event",
    "Input",
    "Invalid",
    "Job",
    "JobDecision",
    "JobResult",
    "Leg",
    "Legs",
    "Options",
    "Parsed",
    "ParsedAction",
    "PlannedJob",
    "Ready",
    "Schedule",
    "Skipped",
    "Trigger",
    "Waiting",
    "Workflow",
    "WorkflowError",
    "combine",
    "conclude",
    "concurrency_of",
    "decide_job",
    "dispatch_inputs",
    "next_legs",
    "order",
    "parse",
    "parse_action",
    "permissions_of",
    "run_name_of",
    "triggered_by",
]
