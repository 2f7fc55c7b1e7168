"""`.windlass/actions.lock`: which commits the third parties' actions of a repository's workflows stand for. Pure.

One line for each `OWNER/NAME@REF`, sorted: the reference and the full id of its commit. An action that the runner
has built in is never fetched; where its repository cannot be asked, `built-in` stands in place of a commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windlass.workflow.model import WorkflowError
from windlass.workflow.reading.ids import action_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.workflow.model import Workflow

PATH = ".windlass/actions.lock"
BUILT_IN = "built-in"
MAX_ENTRIES = 2000
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEADER = "# What the actions of this repository's workflows stand for. `windlass lock` writes this file; commit it.\n"


def read_lock(text: str) -> dict[str, str]:
    """Read a lock file: reference to commit. Raises `WorkflowError` with the line that cannot be read."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].split()
        if not entry:
            continue
        if len(entry) != 2 or not (COMMIT.fullmatch(entry[1]) or entry[1] == BUILT_IN) or "@" not in entry[0]:
            raise WorkflowError(f"{PATH}:{number}: not OWNER/NAME@REF and a commit: {line.strip()[:200]}")
        if found.setdefault(entry[0], entry[1]) != entry[1]:
            raise WorkflowError(f"{PATH}:{number}: {entry[0]} stands there twice, for different commits")
        if len(found) > MAX_ENTRIES:
            raise WorkflowError(f"{PATH}: more than {MAX_ENTRIES} entries")
    return found


def write_lock(entries: Mapping[str, str]) -> str:
    """Return the text of a lock file; the same entries give the same text."""
    return _HEADER + "".join(f"{name} {entries[name]}\n" for name in sorted(entries))


def reference(uses: str) -> str | None:
    """Return `OWNER/NAME@REF` of an action or a called workflow of a repository, None for anything else."""
    if uses.startswith((".", "$", "docker://")):
        return None
    found = action_reference(uses.strip())
    return f"{found[0]}/{found[1]}@{found[3]}" if found else None


def used_by_steps(steps: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the references of steps, those that run in parallel included."""
    found: set[str] = set()
    for step in steps:
        if isinstance(uses := step.get("uses"), str) and (name := reference(uses)):
            found.add(name)
        if isinstance(inner := step.get("parallel"), list):
            found |= used_by_steps(item for item in inner if isinstance(item, dict))
    return found


def used_by(workflow: Workflow) -> set[str]:
    """Return the references of a workflow's steps, and of the workflows that its jobs call."""
    found: set[str] = set()
    for job in workflow.jobs.values():
        found |= used_by_steps(job.steps)
        if job.uses and (name := reference(job.uses)):
            found.add(name)
    return found


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Say what is stale in a lock file, a line for each entry."""
    lines = [f"{name} is missing: it is {new[name]}" for name in sorted(new.keys() - old.keys())]
    lines += [f"{name} is used nowhere any more" for name in sorted(old.keys() - new.keys())]
    moved = [name for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
    return lines + [f"{name} has moved: {old[name]} is locked, it is {new[name]} now" for name in moved]
