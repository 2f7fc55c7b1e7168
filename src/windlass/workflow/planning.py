"""Which jobs may start now, and everything about them that is known before they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from windlass.workflow.expressions import ExpressionError, Scope, evaluate, interpolate, resolve, to_string
from windlass.workflow.expressions.template import OPEN
from windlass.workflow.expressions.values import from_json, to_json, to_number, truthy
from windlass.workflow.matrix import named
from windlass.workflow.model import (
    Concurrency,
    Environment,
    Invalid,
    Job,
    JobDecision,
    JobResult,
    PlannedJob,
    Ready,
    Skipped,
    Waiting,
    Workflow,
    WorkflowError,
)
from windlass.workflow.permissions import RESTRICTED

Contexts = Mapping[str, Any]
Results = Mapping[str, JobResult]
_NAME_LENGTH = 100
_TIMEOUT = 360.0
_CANCEL_TIMEOUT = 5.0
_GROUP_LENGTH = 400
_OF_RUN = ("github", "inputs", "vars")


def order(workflow: Workflow) -> tuple[str, ...]:
    """Return the jobs' keys, each after all that it needs, otherwise in the order of the file."""
    done: list[str] = []
    open_ = list(workflow.jobs)
    while open_:
        ready = [key for key in open_ if all(need in done for need in workflow.jobs[key].needs)]
        if not ready:
            raise WorkflowError(f"the needs of {', '.join(open_)} form a cycle")
        done += ready
        open_ = [key for key in open_ if key not in ready]
    return tuple(done)


def run_name_of(workflow: Workflow, contexts: Contexts) -> str | None:
    """Return the evaluated `run-name`, None where there is none. Raises `ExpressionError`."""
    if not workflow.run_name:
        return None
    return interpolate(workflow.run_name, _scope(contexts)).strip() or None


def concurrency_of(workflow: Workflow, contexts: Contexts) -> Concurrency | None:
    """Return the workflow's evaluated concurrency group. Raises `ExpressionError`, `WorkflowError`."""
    return _concurrency(workflow.concurrency, _scope(contexts))


def permissions_of(workflow: Workflow, key: str, default: Mapping[str, str] = RESTRICTED) -> dict[str, str]:
    """Return what a job's token may do: the job's own map, else the workflow's, else the default."""
    for given in (workflow.jobs[key].permissions, workflow.permissions):
        if given is not None:
            return dict(given)
    return dict(default)


def decide_job(
    workflow: Workflow,
    key: str,
    results: Results,
    contexts: Contexts,
    *,
    cancelled: bool = False,
    default_permissions: Mapping[str, str] = RESTRICTED,
) -> JobDecision:
    """Decide about a job without a result: it waits, is skipped, cannot be planned, or may start.

    `results` are those of the file's jobs that are over. `contexts` are github, inputs, vars. With
    `cancelled` the run was cancelled: only jobs whose condition says so (`always()`) still start. Never raises.
    """
    job = workflow.jobs[key]
    if missing := tuple(need for need in job.needs if need not in results):
        return Waiting(f"waits for {_listed(missing)}", missing)
    needs = {
        need: {"result": results[need].result, "outputs": dict(results[need].outputs)} for need in job.needs
    }
    own = {**{name: contexts.get(name) or {} for name in _OF_RUN}, "needs": needs}
    try:
        functions = _status(workflow, key, results, cancelled=cancelled)
        if not truthy(evaluate(job.condition, Scope(own, functions))):
            return Skipped(_why_skipped(workflow, job, results, cancelled=cancelled))
        legs = tuple(_legs(workflow, job, own, permissions_of(workflow, key, default_permissions)))
        return Ready(legs) if legs else Skipped("its matrix has no combination left after `exclude`")
    except (ExpressionError, WorkflowError) as error:
        return Invalid(f"job '{key}' (line {job.line} of {workflow.path}): {error}")


def _scope(contexts: Contexts) -> Scope:
    return Scope({name: contexts.get(name) or {} for name in _OF_RUN})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _status(workflow: Workflow, key: str, results: Results, *, cancelled: bool) -> dict[str, Any]:
    """Return the status functions as this job sees them: over all its ancestors, or over jobs named."""
    ancestors = workflow.ancestors(key)

    def outcomes(names: tuple[Any, ...]) -> list[str]:
        asked = [to_string(name) for name in names] or list(ancestors)
        return [results[name].result if name in results else "skipped" for name in asked]

    return {
        "success": lambda *names: not cancelled and all(item == "success" for item in outcomes(names)),
        "failure": lambda *names: not cancelled and any(item == "failure" for item in outcomes(names)),
        "cancelled": lambda: cancelled,
        "always": lambda: True,
    }


def _why_skipped(workflow: Workflow, job: Job, results: Results, *, cancelled: bool) -> str:
    if cancelled:
        return "the run was cancelled"
    words = {"failure": "failed", "cancelled": "was cancelled", "skipped": "was skipped"}
    bad = {
        name: words[results[name].result]
        for name in sorted(workflow.ancestors(job.key))
        if name in results and results[name].result in words
    }
    if bad and job.condition.startswith("success()"):
        return "; ".join(f"'{name}' {what}" for name, what in bad.items())
    shown = job.condition.removeprefix("success() && (")
    return f"its condition is false: {shown[:-1] if shown != job.condition else shown}"


def _legs(
    workflow: Workflow, job: Job, contexts: dict[str, Any], permissions: dict[str, str]
) -> Iterable[PlannedJob]:
    scope = Scope(contexts)
    strategy = resolve(job.definition.get("strategy") or {}, scope)
    if not isinstance(strategy, Mapping):
        raise WorkflowError("strategy is not a mapping")
    matrix = strategy.get("matrix")
    if matrix is not None and not isinstance(matrix, Mapping):
        raise WorkflowError(f"strategy.matrix is not a mapping but {to_json(matrix)}")
    legs: list[tuple[dict[str, Any] | None, list[str]]] = (
        [*named(matrix)] if matrix is not None else [(None, [])]
    )
    fail_fast = strategy.get("fail-fast") is None or truthy(_word(strategy["fail-fast"]))
    limit = int(_number(strategy.get("max-parallel"), 0, "strategy.max-parallel"))
    for index, (leg, shown) in enumerate(legs):
        own = {
            **contexts,
            "matrix": leg,
            "strategy": {
                "fail-fast": fail_fast,
                "job-index": index,
                "job-total": len(legs),
                "max-parallel": limit if limit > 0 else len(legs),
            },
        }
        planned = _planned(workflow, job, own, shown, permissions)
        yield PlannedJob(
            key=job.key if matrix is None else f"{job.key}~{index + 1}",
            job=job.key,
            matrix=leg,
            index=index,
            total=len(legs),
            fail_fast=fail_fast,
            max_parallel=limit if limit > 0 else None,
            **planned,
        )


def _planned(
    workflow: Workflow, job: Job, contexts: dict[str, Any], shown: list[str], permissions: dict[str, str]
) -> dict[str, Any]:
    scope = Scope(contexts)
    given = job.definition
    labels, group = _runs_on(resolve(given.get("runs-on"), scope))
    timeout = _number(resolve(given.get("timeout-minutes"), scope), _TIMEOUT, "timeout-minutes")
    name = _name(job, scope, shown)
    tolerated = truthy(_word(resolve(given.get("continue-on-error"), scope)))
    github = contexts["github"]
    definition = {
        **{part: value for part, value in given.items() if part not in {"strategy", "env", "concurrency"}},
        "name": name,
        "timeout-minutes": timeout,
        "continue-on-error": tolerated,
        "if": job.condition,
    }
    if defaults := _defaults(workflow.defaults, given.get("defaults")):
        definition["defaults"] = defaults
    return {
        "name": name,
        "definition": definition,
        "env": [env for env in (workflow.env, given.get("env")) if env],
        "contexts": {**contexts, "github": {**github, "job": job.key}}
        if isinstance(github, Mapping)
        else contexts,
        "permissions": permissions,
        "runs_on": labels,
        "runner_group": group,
        "timeout_minutes": timeout,
        "cancel_timeout_minutes": _number(
            resolve(given.get("cancel-timeout-minutes"), scope), _CANCEL_TIMEOUT, "cancel-timeout-minutes"
        ),
        "continue_on_error": tolerated,
        "concurrency": _concurrency(given.get("concurrency"), scope),
        "environment": _environment(given.get("environment"), scope),
        "uses": job.uses,
        "inputs": resolve(given.get("with") or {}, scope) if job.uses else {},
    }


def _name(job: Job, scope: Scope, shown: list[str]) -> str:
    """Return the displayed name: a literal one gets the leg's values, one with expressions stands for itself."""
    if OPEN in job.name:
        name = interpolate(job.name, scope).strip() or job.key
    else:
        name = f"{job.name} ({', '.join(shown)})" if shown else job.name
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 3] + "..."


def _word(value: Any) -> Any:
    """Return a boolean that came as a word as what it means."""
    return value.strip().lower() == "true" if isinstance(value, str) else value


def _number(value: Any, default: float, what: str) -> float:
    if value is None or value == "":
        return default
    number = to_number(value)
    if number != number or not 0 <= number < 1e9:  # noqa: PLR0124 NaN differs from itself
        raise WorkflowError(f"{what} is not a number but {to_json(value)}")
    return number


def _runs_on(value: Any) -> tuple[tuple[str, ...], str]:
    if isinstance(value, Mapping):
        return _runs_on(value.get("labels"))[0], to_string(value.get("group"))
    if isinstance(value, (list, tuple)):
        return tuple(to_string(item) for item in value), ""
    text = to_string(value)
    if text.startswith("["):  # a list that came through an output as JSON
        try:
            return _runs_on(from_json(text))
        except ValueError:
            pass
    return ((text,) if text else ()), ""


def _concurrency(given: Any, scope: Scope) -> Concurrency | None:
    if given is None:
        return None
    value = resolve(given, scope)
    parts = value if isinstance(value, Mapping) else {"group": value}
    group = to_string(parts.get("group"))
    if not group:
        raise WorkflowError("Concurrency group name cannot be empty")
    if len(group) > _GROUP_LENGTH:
        raise WorkflowError("Concurrency group name must be less than 400 characters")
    cancel = truthy(_word(parts.get("cancel-in-progress")))
    return Concurrency(group, cancel, to_string(parts.get("queue")) or "single")


def _environment(given: Any, scope: Scope) -> Environment | None:
    if isinstance(given, str):
        value = resolve(given, scope)
        parts: Mapping[str, Any] = value if isinstance(value, Mapping) else {"name": value}
        url = to_string(parts.get("url"))
    elif isinstance(given, Mapping):
        url = to_string(given.get("url"))  # stays a template: it may use what the steps put out
        parts = resolve({key: item for key, item in given.items() if key != "url"}, scope)
    else:
        return None
    name = to_string(parts.get("name"))
    deployment = parts.get("deployment")
    return Environment(name, url, deployment is None or truthy(_word(deployment))) if name else None


def _defaults(outer: Any, inner: Any) -> dict[str, Any]:
    def run(part: Any) -> dict[str, Any]:
        return dict(part.get("run") or {}) if isinstance(part, Mapping) else {}

    merged = {**run(outer), **run(inner)}
    return {"run": merged} if merged else {}
