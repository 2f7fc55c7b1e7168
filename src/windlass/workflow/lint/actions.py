"""What `uses` names: `unpinned-action`, `deprecated-action`, `unknown-action`, `unknown-action-input`."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from windlass.workflow.actions import parse_action
from windlass.workflow.lint.facts import ACTIONS, Age
from windlass.workflow.lint.unit import pairs
from windlass.workflow.lock import PATH as LOCK
from windlass.workflow.lock import read_lock
from windlass.workflow.model import WorkflowError
from windlass.workflow.reading.ids import action_reference

if TYPE_CHECKING:
    from collections.abc import Collection

    from windlass.workflow.lint.unit import Job, Step, Unit
    from windlass.workflow.model import Action
    from windlass.workflow.reading.tokens import Token

_COMMIT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_MAJOR = re.compile(r"v?(\d+)(?:\.|$)")
_BRANCHES = frozenset({"main", "master", "develop", "dev", "trunk", "HEAD", "latest"})
FIRST_PARTY = frozenset({"actions", "github"})


def check(unit: Unit) -> None:
    """Look at everything that is used."""
    for job in unit.jobs.values():
        if job.uses and (token := job.token.get("uses")) is not None:
            _pinned(unit, job.uses, token)
        for step in job.steps:
            if step.uses and (token := step.token.get("uses")) is not None:
                _pinned(unit, step.uses, token)
                _age(unit, step.uses, token)
                _local(unit, job, step, token)


def _pinned(unit: Unit, uses: str, token: Token) -> None:
    if uses.startswith("docker://"):
        if "@sha256:" not in uses:
            unit.report("unpinned-action", f"`{uses}` is not pinned to a digest (`@sha256:…`)", token)
        return
    reference = None if uses.startswith((".", "$")) else action_reference(uses)
    if reference is None or _COMMIT.fullmatch(reference[3]) or reference[0].lower() in unit.trusted:
        return
    owner, name, _, ref = reference
    if f"{owner}/{name}@{ref}" in _locked(unit):
        return
    if ref in _BRANCHES:
        message = f"`{uses}` follows a branch: what runs here changes whenever somebody pushes to it"
        unit.report("unpinned-action", message, token)
    elif owner.lower() not in FIRST_PARTY:
        message = f"`{uses}` is a third party's, and `{ref}` can be moved to other code. Pin it to a commit"
        unit.report("unpinned-action", message, token)


def _locked(unit: Unit) -> Collection[str]:
    """Return what the repository's lock file pins; nothing where it cannot be read, which `windlass lock` tells."""
    text = unit.load(LOCK) if unit.load is not None else None
    try:
        return read_lock(text) if text else ()
    except WorkflowError:
        return ()


def _age(unit: Unit, uses: str, token: Token) -> None:
    reference = action_reference(uses)
    if reference is None:
        return
    owner, name, path, ref = reference
    ages = ACTIONS.get(f"{owner}/{name}".lower())
    major = _MAJOR.match(ref)
    if ages is None or major is None or _COMMIT.fullmatch(ref):
        return
    age = ages.get(int(major[1]))
    shown = "/".join(part for part in (owner, name, path) if part) + f"@{ref}"
    if age is Age.REFUSED:
        message = f"GitHub has switched off {shown}: the step fails. Use a newer major version"
        unit.report("deprecated-action", message, token, severity="error")
    elif age is Age.ARCHIVED:
        unit.report("deprecated-action", f"{shown} is archived: nobody maintains it", token)
    elif age is Age.NODE20:
        message = f"{shown} runs on Node 20, which GitHub retires in 2026"
        unit.report("deprecated-action", message, token, severity="info")
    elif age is not None:
        message = f"{shown} was made for {age.value}, which GitHub has removed from its runners"
        unit.report("deprecated-action", message, token)


def _local(unit: Unit, job: Job, step: Step, token: Token) -> None:
    if unit.load is None or not step.uses.startswith("./") or ".." in step.uses:
        return
    action = load_action(unit, step.uses)
    if action is None:
        if _must_be_here(job, step) and not exists(unit, step.uses):
            unit.report("unknown-action", f"There is no action.yml in '{step.uses}'", token)
        return
    known = {name.lower() for name in action.inputs}
    docker = {"args", "entrypoint"} if action.using == "docker" else set()
    for key, value in pairs(step.token.get("with")):
        if key.lower() not in known | docker:
            message = (
                f"Action '{step.uses}' has no input '{key}'; it has {', '.join(action.inputs) or 'none'}"
            )
            unit.report("unknown-action-input", message, value)


def _must_be_here(job: Job, step: Step) -> bool:
    """Whether the action can only come from this checkout: no step before it brings other files."""
    before = job.steps[: step.position]
    plain = all(other.uses.lower().startswith("actions/") and not _elsewhere(other) for other in before)
    return step.uses.startswith("./.github/") and plain


def _elsewhere(step: Step) -> bool:
    return any(step.given(name) is not None for name in ("repository", "path", "ref"))


def exists(unit: Unit, uses: str) -> bool:
    """Whether a local action has a file, also one that cannot be read; a Dockerfile counts."""
    folder = posixpath.normpath(uses)
    names = ("action.yml", "action.yaml", "Dockerfile")
    return unit.load is not None and any(
        unit.load(f"{folder}/{name}".removeprefix("./")) is not None for name in names
    )


def load_action(unit: Unit, uses: str) -> Action | None:
    """Read a local action, None where there is none that can be read."""
    if unit.load is None or not uses.startswith("./") or ".." in uses:
        return None
    folder = posixpath.normpath(uses)
    for name in ("action.yml", "action.yaml"):
        source = unit.load(f"{folder}/{name}".removeprefix("./"))
        if source is not None:
            return parse_action(source, f"{folder}/{name}").action
    return None
