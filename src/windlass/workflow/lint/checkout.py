"""`privileged-checkout`: a stranger's code in a workflow that has secrets and may write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.workflow.lint.logic import Facts, never
from windlass.workflow.lint.paths import named
from windlass.workflow.lint.unit import condition_site, sites
from windlass.workflow.reading.tokens import Literal, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.syntax import Severity
    from windlass.workflow.expressions.nodes import Node
    from windlass.workflow.lint.unit import Job, Step, Unit
    from windlass.workflow.reading.tokens import Token

_TARGET = re.compile(
    r"github\.head_ref|github\.event\.pull_request\.(head\.(sha|ref|label|repo\..+)|merge_commit_sha)"
)
_RUN = re.compile(
    r"github\.event\.workflow_run\.(head_(sha|branch|commit\.(id|tree_id)|repository\..+)|pull_requests\.\*\.head\..+)"
)
_HEADS = {"pull_request_target": _TARGET, "workflow_run": _RUN}
_FETCH = re.compile(r"\bgh\s+pr\s+checkout\b|\bgit\b[^\n]*\b(?:refs/)?pull/[^\s]*/(?:head|merge)\b")
_PULL_REF = re.compile(r"refs/(remotes/)?pull/")
_WHO = re.compile(
    r"github\.(actor|triggering_actor)|.*\.(author_association|login|labels.*|label\..*)|.*\.role_name"
)
_PULL, _OURS = "github.event.pull_request", "github.repository"
_FORKS = {
    "pull_request_target": (
        f"{_PULL}.head.repo.full_name",
        f"{_PULL}.head.repo.fork",
        {frozenset((f"{_PULL}.head.repo.full_name", f"{_PULL}.base.repo.full_name"))},
    ),
    "workflow_run": (
        "github.event.workflow_run.head_repository.full_name",
        "github.event.workflow_run.head_repository.fork",
        set[frozenset[str]](),
    ),
}


def check(unit: Unit) -> None:
    """Look at all steps that check out code, in all events that are privileged."""
    for event in ("pull_request_target", "workflow_run"):
        if unit.events is None or event not in unit.events:
            continue
        for job in unit.jobs.values():
            for step in job.steps:
                place = _fetches(step, event)
                if place is not None and _reachable(job, step, event):
                    _report(unit, job, step, event, place)


def _fetches(step: Step, event: str) -> Token | None:
    """Return the token that names a stranger's commit or repository, None where there is none."""
    if step.uses.lower().startswith("actions/checkout@"):
        for name in ("ref", "repository"):
            token = step.given(name)
            if token is not None and _names_head(token, event):
                return token
        return None
    run = step.token.get("run")
    written = "" if run is None else text(run)
    if event == "pull_request_target" and _FETCH.search(_without_comments(written)):
        return run
    return None


def _without_comments(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))


def _names_head(token: Token, event: str) -> bool:
    if isinstance(token, Literal):
        return False
    paths = [path for site in sites(token) for path, _ in named(site.tree)]
    if any(_HEADS[event].fullmatch(path) for path in paths):
        return True
    return event == "pull_request_target" and bool(_PULL_REF.match(text(token)) and paths)


def _reachable(job: Job, step: Step, event: str) -> bool:
    """Whether a stranger's event comes as far as this step."""
    return not any(never(tree, _stranger(event)) for tree in _conditions(job, step))


def _conditions(job: Job, step: Step) -> Iterator[Node]:
    for token in (job.token.get("if"), step.token.get("if")):
        if (site := condition_site(token)) is not None:
            yield site.tree


def _stranger(event: str) -> Facts:
    name, fork, pairs = _FORKS[event]
    values = {"github.event_name": event, fork: True}
    if event == "workflow_run":
        values["github.event.workflow_run.event"] = "pull_request"
    return Facts(values, differ=frozenset({frozenset((name, _OURS)), *pairs}))


def _report(unit: Unit, job: Job, step: Step, event: str, place: Token) -> None:
    asked = any(_WHO.fullmatch(path) for tree in _conditions(job, step) for path, _ in named(tree))
    guarded = asked or job.token.get("environment") is not None
    severity: Severity = "error"
    if event != "pull_request_target" or guarded or step.token.get("run") is not None:
        severity = "warning"
    message = (
        f"`{event}` runs with this repository's secrets and rights, and this checks out code that a stranger "
        "wrote: whatever then builds, tests or installs it hands them over"
    )
    if guarded:
        message += ". A guard is there; what it lets pass can still change after it was looked at"
    unit.report("privileged-checkout", message, place, severity=severity)
