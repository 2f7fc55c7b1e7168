"""Text from outside inside a script: `script-injection`, `text-in-script`, `context-in-script`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.workflow.lint.taint import Tracer
from windlass.workflow.lint.unit import child, pairs, sites
from windlass.workflow.lint.untrusted import Trust
from windlass.workflow.reading.ids import action_reference
from windlass.workflow.reading.tokens import Literal, MappingToken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.workflow.lint.taint import Taint
    from windlass.workflow.lint.unit import Job, Site, Step, Unit
    from windlass.workflow.reading.tokens import Token

_SCRIPTS = {  # actions that execute an input
    "actions/github-script": ("script",),
    "appleboy/ssh-action": ("script",),
    "azure/cli": ("inlinescript",),
    "azure/powershell": ("inlinescript",),
    "addnab/docker-run-action": ("run", "options"),
    "nick-fields/retry": ("command", "on_retry_command"),
    "nick-invision/retry": ("command", "on_retry_command"),
    "reactivecircus/android-emulator-runner": ("script",),
    "wandalen/wretry.action": ("command",),
}
_CODES = {
    Trust.STRANGER: "script-injection",
    Trust.TEXT: "text-in-script",
    Trust.SHAPED: "context-in-script",
}


def check(unit: Unit) -> None:
    """Look at everything that is executed."""
    for job in unit.jobs.values():
        for where, token in _of_job(job):
            _sink(unit, job, None, where, token)
        for step in job.steps:
            for where, token in _of_step(step):
                _sink(unit, job, step, where, token)
    if not unit.is_action:
        for job in list(unit.jobs.values())[:1]:
            _sink(unit, job, None, "the shell", child(unit.root, "defaults", "run", "shell"))


def _of_job(job: Job) -> Iterator[tuple[str, Token | None]]:
    yield "the shell", child(job.token, "defaults", "run", "shell")
    yield "working-directory", child(job.token, "defaults", "run", "working-directory")
    containers = [job.token.get("container"), *(value for _, value in pairs(job.token.get("services")))]
    for container in containers:
        if isinstance(container, MappingToken):
            for key in ("image", "options", "entrypoint", "command"):
                yield f"the container's {key}", container.get(key)
        else:
            yield "the container's image", container


def _of_step(step: Step) -> Iterator[tuple[str, Token | None]]:
    yield "the script", step.token.get("run")
    yield "the shell", step.token.get("shell")
    yield "working-directory", step.token.get("working-directory")
    reference = action_reference(step.uses)
    if reference:
        for name in _SCRIPTS.get(f"{reference[0]}/{reference[1]}".lower(), ()):
            yield f"the action's {name}", step.given(name)


def _sink(unit: Unit, job: Job, step: Step | None, where: str, token: Token | None) -> None:
    if token is None or isinstance(token, Literal):
        return
    for site in sites(token):
        taint = Tracer(unit, job, step).of(site.tree)
        if not taint.trust:
            continue
        if where == "working-directory":  # chooses a folder, executes nothing by itself
            taint = taint._replace(trust=Trust(taint.trust - 1))
        if taint.trust:
            unit.report(_CODES[taint.trust], _message(taint, where, site), site)


def _message(taint: Taint, where: str, site: Site) -> str:
    via = f" (through `{taint.way}`)" if taint.way else ""
    name = f"`{taint.path}`{via}"
    fix = f"Pass it by `env:` and use ${_variable(taint.path)} in quotes"
    if where not in {"the script", "the action's script"}:
        fix = "Use a value of your own"
    elif where == "the action's script":
        fix = f"Pass it by `env:` and read process.env.{_variable(taint.path)}"
    elif taint.way.startswith("env."):
        fix = f"Use the shell's variable ${taint.way[4:]} in quotes, without `${{{{ }}}}`"
    if taint.trust is Trust.STRANGER:
        whole = "holds text that anyone can write" if "(" in site.text else "is text that anyone can write"
        return f"{name} {whole}, and it becomes part of {where}. {fix}"
    if taint.trust is Trust.TEXT:
        return (
            f"{name} is free text, and it becomes part of {where}: quotes, `$` and backticks in it act. {fix}"
        )
    return f"{name} comes from outside and becomes part of {where}. {fix}"


def _variable(path: str) -> str:
    parts = [part for part in re.split(r"[.]", path) if part not in {"github", "event", "*", "inputs"}]
    return re.sub(r"[^A-Z0-9_]", "_", "_".join(parts[-2:]).upper()) or "VALUE"
