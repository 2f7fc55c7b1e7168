"""One `windlass run`, from what was asked for to its end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from windlass.server.local.checkout import git, look, sources
from windlass.server.local.choose import Choice, File, Wish, choose, read
from windlass.server.local.errors import LocalError
from windlass.server.local.events import base_of, build, known
from windlass.server.local.folders import forget_old, killed, open_folders
from windlass.server.local.machine import how
from windlass.server.local.snapshot import changed_between, take
from windlass.server.local.unpacking import check, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from windlass.server.local.beginning import Beginning
    from windlass.server.local.checkout import Checkout
    from windlass.server.local.folders import Folders
    from windlass.server.local.options import Options
    from windlass.server.local.outline import Outline
    from windlass.server.local.session import Session
    from windlass.server.local.snapshot import Snapshot
    from windlass.server.local.watch import Event
    from windlass.workflow import Event as Happening

MAX_PAYLOAD = 8 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `payload` is what a file says of the event; `home` the cache folder."""

    start: Path
    home: Path
    wish: Wish = field(default_factory=Wish)
    payload: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Path | None = None
    """Where artifacts are unpacked; None leaves them zipped in the cache folder."""
    how: Callable[[str], Options] = lambda refusal: how("auto", "auto", refusal)
    """Says how jobs are to run, given why there is no sandbox to be had, "" where there is one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The checkout, and the workflow files in its working tree."""

    checkout: Checkout
    files: tuple[File, ...]


def find(start: Path) -> Found:
    """Look around. Raises `LocalError`."""
    checkout = look(start)
    return Found(checkout, read(sources(checkout.root)))


def read_payload(path: Path) -> dict[str, Any]:
    """Read `--event-file`. Raises `LocalError`."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_PAYLOAD))
    except OSError as error:
        raise LocalError(f"--event-file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise LocalError(f"--event-file {path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise LocalError(f"--event-file {path} is no JSON object: it holds what `github.event` shows")
    return found


@dataclass(frozen=True, slots=True)
class Ready:
    """The working tree as a commit in `bare`, and what of it is to be run."""

    snapshot: Snapshot
    bare: Path
    choice: Choice


def prepare(found: Found, request: Request, place: Path) -> Ready:
    """Take the snapshot, below `place`, and choose. Raises `LocalError`."""
    bare = place / "snapshot.git"
    form = found.checkout.object_format
    git(
        ["init", "--quiet", "--bare", "--template=", f"--initial-branch={found.checkout.default_branch}",
         f"--object-format={form}", str(bare)],
        cwd=place,
    )  # fmt: skip
    snapshot = take(found.checkout, bare, place / "index")

    def event_of(name: str) -> Happening:
        before = base_of(known(name), found.checkout, snapshot)
        paths = changed_between(found.checkout, bare, before, snapshot.sha)
        return build(name, found.checkout, snapshot, before, paths, request.payload)

    return Ready(snapshot, bare, choose(found.files, request.wish, event_of))


async def run(
    found: Found,
    request: Request,
    begun: Beginning,
    tell: Callable[[Event], None],
    attach: Callable[[dict[str, Any], int], None] | None = None,
) -> tuple[str, bool]:
    """Run what was asked for, telling what happens. Returns the conclusion of all, and whether it was cancelled.

    SIGINT, SIGTERM or SIGHUP cancels, a second one ends everything at once. `attach` is given a terminal for each
    step that fails (see `Shells`). Raises `LocalError` before anything has started.
    """
    from windlass.runner.client import ZygoteClient

    check(request.artifacts)
    folders = begun.folders
    zygote = ZygoteClient(folders.run / "run", begun.fork_server)
    ended: list[str] = []
    await anyio.to_thread.run_sync(_end_killed, folders.runs)

    def hear(event: Event) -> None:
        if event["kind"] == "run.finished":
            ended.append(str(event["conclusion"]))
            unpack(event, request.artifacts)
        tell(event)

    try:
        async with anyio.create_task_group() as tasks:
            session, ready, options = await _open(found, request, zygote, folders, attach)
            begun.used = True
            hear(_told(found, ready, folders, options))
            cancelling = Cancelling(session, hear)
            tasks.start_soon(cancelling.listen)
            await session.run(ready.snapshot, ready.bare, ready.choice.runs, hear)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _innermost(group) from group
    finally:
        with anyio.CancelScope(shield=True):
            await zygote.close()
            await anyio.to_thread.run_sync(forget_old, folders.runs)
    return _conclusion(ended), cancelling.asked > 0


@dataclass
class Cancelling:
    """Ends the runs when the person asks for it; the second time at once."""

    session: Session
    tell: Callable[[Event], None]
    asked: int = 0

    async def listen(self) -> None:
        """Wait for signals."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                self.asked += 1
                self.tell(
                    {"kind": "cancelling", "signal": signal.Signals(number).name, "again": self.asked > 1}
                )
                await self.session.cancel(force=self.asked > 1)


def _innermost(group: BaseException) -> BaseException:
    """Return the one exception that a task group was ended by."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _open(
    found: Found, request: Request, zygote: Any, folders: Folders, attach: Any
) -> tuple[Session, Ready, Options]:
    """Load the engine while git takes the snapshot and the fork server loads."""
    looking = asyncio.create_task(anyio.to_thread.run_sync(prepare, found, request, folders.run))
    await asyncio.sleep(0)
    try:
        from windlass.server.local.listener import bind
        from windlass.server.local.session import Session
        from windlass.server.local.shells import Shells
    finally:
        ready = await looking
    await zygote.warm()
    options = request.how(zygote.refusal)
    shells = Shells(folders.run / "run", attach, os.environ.get("TERM", "dumb")) if attach else None
    return Session(folders, found.checkout, options, zygote, bind(), shells), ready, options


def _told(found: Found, ready: Ready, folders: Folders, options: Options) -> Event:
    return {
        "kind": "plan",
        "repository": found.checkout.repository,
        "root": str(found.checkout.root),
        "ref": found.checkout.ref,
        "sha": ready.snapshot.sha,
        "head": ready.snapshot.head,
        "changed": list(ready.snapshot.changed),
        "notes": list(ready.choice.notes),
        "isolation": options.isolation,
        "why_host": options.why_host,
        "logs": str(folders.run / "jobs"),
    }


def _end_killed(runs: Path) -> None:
    """End what killed runs left, before anything starts: their services may hold ports that this run needs."""
    if left := killed(runs):
        from windlass.server.local.leftovers import end_all

        end_all(left)


def _conclusion(ended: list[str]) -> str:
    for one in ("failure", "cancelled"):
        if one in ended:
            return one
    return "success" if "success" in ended or not ended else "skipped"


def rehearse(found: Found, request: Request, variables: Mapping[str, str]) -> tuple[Ready, list[Outline]]:
    """Return what would be run, without running it. Raises `LocalError`."""
    from windlass.server.local.outline import outline

    folders = open_folders(request.home)
    try:
        ready = prepare(found, request, folders.run)
        outlines = [outline(one, found.checkout, ready.snapshot, variables) for one in ready.choice.runs]
    finally:
        folders.tidy()
        shutil.rmtree(folders.run, ignore_errors=True)
    return ready, outlines
