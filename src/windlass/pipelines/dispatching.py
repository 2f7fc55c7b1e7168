"""Runs by hand: `workflow_dispatch`, and `repository_dispatch` with a payload of one's own."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from windlass.pipelines.context import repository_payload, sender_payload
from windlass.pipelines.diagnose import diagnostics_reason
from windlass.pipelines.errors import NotFoundError, PipelinesError, StateError
from windlass.pipelines.inserting import Cause, insert_run
from windlass.pipelines.occurrences import Occurrence, record
from windlass.pipelines.plan import FOLDER, Planned, read
from windlass.workflow import Event, WorkflowError, dispatch_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.pipelines.files import WorkflowFiles
    from windlass.pipelines.occurrences import Actor
    from windlass.pipelines.settings import Settings
    from windlass.repos import Git, Repositories
    from windlass.store import Store, Transaction
    from windlass.workflow.model import Input

MAX_EVENT_TYPE = 100
MAX_PROPERTIES = 10
MAX_PAYLOAD = 65_535
MAX_INPUTS = 25


@dataclass(frozen=True, slots=True)
class Startable:
    """A workflow file that is started by hand, with its inputs in the file's order."""

    path: str
    name: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class ByHand:
    """What can be started at `ref`, a full ref; `sha` is its commit, None where it is not there."""

    ref: str
    sha: str | None
    refs: tuple[str, ...]
    workflows: tuple[Startable, ...] = ()


class DispatchError(PipelinesError):
    """What was sent along cannot be used: the event's type, its payload, or the inputs."""


def check_client_payload(event_type: str, payload: Mapping[str, Any]) -> None:
    """Raise `DispatchError` for what GitHub would not take. Pure."""
    if not event_type or len(event_type) > MAX_EVENT_TYPE or not event_type.isprintable():
        raise DispatchError(f"event_type is a word of 1 to {MAX_EVENT_TYPE} characters, such as 'deploy'")
    if len(payload) > MAX_PROPERTIES:
        raise DispatchError(
            f"client_payload has {len(payload)} properties at its top, {MAX_PROPERTIES} are allowed: "
            "put them into an object of their own"
        )
    if (size := _size(payload)) > MAX_PAYLOAD:
        raise DispatchError(f"client_payload is {size} bytes of JSON, {MAX_PAYLOAD} are allowed")


def check_inputs(inputs: Mapping[str, Any]) -> None:
    """Raise `DispatchError` for more inputs than GitHub takes. Pure."""
    if len(inputs) > MAX_INPUTS:
        raise DispatchError(f"{len(inputs)} inputs are given, {MAX_INPUTS} are allowed")
    if (size := _size(inputs)) > MAX_PAYLOAD:
        raise DispatchError(f"the inputs are {size} bytes of JSON, {MAX_PAYLOAD} are allowed")


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))


class Dispatcher:
    """Records what people and programs ask for."""

    def __init__(
        self, store: Store, repositories: Repositories, git: Git, files: WorkflowFiles, settings: Settings
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._git = git
        self._files = files
        self._settings = settings

    async def event(self, repository: str, event_type: str, payload: Mapping[str, Any], actor: Actor) -> int:
        """Record a `repository_dispatch` and return the occurrence's id. Raises `DispatchError`."""
        check_client_payload(event_type, payload)
        hosted = await self._repositories.get(repository)
        told = {"action": event_type, "branch": hosted.default_branch, "client_payload": dict(payload)}
        item = Occurrence(
            key=f"dispatch/{uuid4().hex}",
            repository=repository,
            event="repository_dispatch",
            action=event_type,
            actor=actor.name,
            actor_kind=actor.kind,
            title=event_type,
            payload=told,
        )
        made = await self._store.transact(lambda tx: record(tx, item))
        assert made is not None  # noqa: S101 the key is new
        return made

    async def workflow(
        self, repository: str, path: str, ref: str, inputs: Mapping[str, Any], actor: Actor
    ) -> int:
        """Start a run by hand (`workflow_dispatch`); returns its id. Inputs are checked against the file."""
        check_inputs(inputs)
        hosted = await self._repositories.get(repository)
        full = await self._full_ref(repository, ref or hosted.default_branch)
        sha = await self._git.resolve(repository, full)
        if sha is None:
            raise NotFoundError(f"{repository} has no commit at {full}: push it first")
        planned = await self._planned(repository, sha, path, full)
        workflow = planned.workflow
        assert workflow is not None  # noqa: S101 an invalid one was refused
        try:
            values = dispatch_inputs(workflow, inputs)
        except WorkflowError as error:
            raise StateError(f"{planned.path}: {error}") from error
        payload = {
            "inputs": values,
            "ref": full,
            "workflow": planned.path,
            "repository": repository_payload(hosted, self._settings.server_url),
            "sender": sender_payload(actor.name, actor.kind),
        }
        event = Event("workflow_dispatch", full, payload)
        item = Occurrence(
            key=f"dispatch/{uuid4().hex}",
            repository=repository,
            event=event.name,
            actor=actor.name,
            actor_kind=actor.kind,
            ref=full,
            sha=sha,
            path=planned.path,
            payload=payload,
        )
        cause = Cause(repository, event, sha, actor.name, planned.name, None, values)
        return await self._store.transact(lambda tx: self._start(tx, item, cause, planned))

    def _start(self, tx: Transaction, item: Occurrence, cause: Cause, planned: Planned) -> int:
        """Record it with its run at once: who asks is told the run's number."""
        made = record(tx, item)
        tx.run("occurrences.planned", id=made, at=time.time(), runs=1, reason="")
        return insert_run(tx, replace(cause, occurrence=made), planned, self._settings)

    async def startable(self, repository: str, ref: str) -> ByHand:
        """Return what can be started by hand at a branch or tag; the default branch where `ref` is empty."""
        hosted = await self._repositories.get(repository)
        wanted, refs = ref or hosted.default_branch, await self._git.refs(repository)
        full = _full(wanted, refs) or f"refs/heads/{wanted}"
        sha = await self._git.resolve(repository, full) if full in refs else None
        if sha is None:
            return ByHand(full, None, tuple(refs))
        parsed = [read(text, path).workflow for path, text in (await self._files.at(repository, sha)).items()]
        found = [
            Startable(workflow.path, workflow.name, tuple(trigger.inputs.values()))
            for workflow in parsed
            if workflow is not None and (trigger := workflow.triggers.get("workflow_dispatch"))
        ]
        return ByHand(full, sha, tuple(refs), tuple(sorted(found, key=lambda item: item.name.lower())))

    async def _planned(self, repository: str, sha: str, path: str, ref: str) -> Planned:
        """Return the workflow file to start, by its path, its file's name, or the workflow's name."""
        files = await self._files.at(repository, sha)
        wanted = path if "/" in path else f"{FOLDER}/{path}"
        if wanted not in files:
            named = [found for found, text in files.items() if _name(text, found) == path]
            if len(named) != 1:
                known = ", ".join(sorted(files)) or "none"
                raise NotFoundError(f"{repository} has no {wanted} at {ref}; it has {known}")
            wanted = named[0]
        parsed = read(files[wanted], wanted)
        if parsed.workflow is None:
            raise StateError(diagnostics_reason(parsed, files[wanted]).evidence)
        if "workflow_dispatch" not in parsed.workflow.triggers:
            raise StateError(f"{wanted} cannot be started by hand: add `workflow_dispatch:` under `on:`")
        return Planned(wanted, files[wanted], parsed)

    async def _full_ref(self, repository: str, ref: str) -> str:
        if full := _full(ref, await self._git.refs(repository)):
            return full
        raise NotFoundError(f"{repository} has no {ref}: name a branch or a tag that is pushed")


def _full(ref: str, refs: Mapping[str, str]) -> str | None:
    names = (ref, f"refs/heads/{ref}", f"refs/tags/{ref}")
    return next((name for name in names if name in refs), None)


def _name(text: str, path: str) -> str | None:
    workflow = read(text, path).workflow
    return workflow.name if workflow else None
