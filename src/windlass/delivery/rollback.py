"""Taking a bad commit back in git, so that git says what is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from windlass.repos import Conflict, ReposError, StaleBranchError
from windlass.repos.names import inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.delivery.records import Delivery, Deployment
    from windlass.delivery.settings import Settings
    from windlass.repos import Git, GitWriter

log = structlog.get_logger()
TRIES = 5
SHORT = 12
LOOK_BACK = 200


@dataclass(frozen=True, slots=True)
class Reverted:
    """What came of it: the commit, or why a person is needed. `message` says it in a sentence."""

    commit: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The paths to take back, and those that are others' too. Pure result of `scope`."""

    mine: tuple[str, ...]
    shared: Mapping[str, str]


def scope(
    changed: Iterable[str], folder: str, files: Iterable[str], others: Mapping[str, Iterable[str]]
) -> Scope:
    """Say which changed paths are the Application's, and which of them others are made of as well.

    The Application's are those in its own folder and those that its rendering read. `others` maps the other
    Applications of the same branch to the files that theirs read; in its own folder nobody else has a say.
    """
    used = set(files)
    mine = [path for path in changed if (folder and inside(path, [folder])) or path in used]
    shared = {
        path: name
        for path in mine
        if not (folder and inside(path, [folder]))
        for name, read in others.items()
        if path in set(read)
    }
    return Scope(tuple(sorted(mine)), shared)


def message(delivery: Delivery, good: str, why: str) -> str:
    """Return the commit message of a revert."""
    name = delivery.application.rpartition("/")[2]
    return (
        f"Revert {name} to {good[:SHORT]}\n\n"
        f"{delivery.revision[:SHORT]} was taken back: {why}\n\n"
        f"Windlass-Delivery: {delivery.id}\nWindlass-Reverts: {delivery.revision}\n"
    )


class Reverter:
    """Makes revert commits through the hosted repository."""

    def __init__(self, git: Git, writer: GitWriter, settings: Settings) -> None:
        self._git = git
        self._writer = writer
        self._settings = settings

    async def revert(
        self,
        delivery: Delivery,
        good: str,
        *,
        folder: str,
        files: Iterable[str],
        others: Mapping[str, Iterable[str]],
        why: str,
    ) -> Reverted:
        """Put the Application's paths back to `good`. Doing it again finds nothing to do."""
        help_ = f"git revert {delivery.revision[:SHORT]}"
        try:
            changed = await self._git.changed_paths(delivery.repo, good, delivery.revision)
            found = scope(changed, folder, files, others)
            if found.shared:
                path, other = next(iter(found.shared.items()))
                return Reverted(
                    None, f"git was left as it is: {path} belongs to {other} too. A person is needed: {help_}"
                )
            if not found.mine:
                return Reverted(
                    None, "there is nothing in git to take back: the change came from the Application itself"
                )
            return await self._write(delivery, good, found.mine, why, help_)
        except ReposError as error:
            log.warning("delivery.revert_failed", delivery=delivery.id, error=str(error))
            return Reverted(None, f"git was left as it is: {error} A person is needed: {help_}")

    async def done(self, delivery: Delivery) -> Reverted | None:
        """Return the revert that was made already, before a crash could be noted down."""
        mark = f"Windlass-Delivery: {delivery.id}"
        try:
            for commit in await self._git.log(
                delivery.repo, f"refs/heads/{delivery.branch}", limit=LOOK_BACK
            ):
                if commit.sha == delivery.revision:
                    return None
                if mark in commit.body.splitlines():
                    return Reverted(commit.sha, f"reverted in git by {commit.sha[:SHORT]}")
        except ReposError as error:
            log.debug("delivery.log_unread", delivery=delivery.id, error=str(error))
        return None

    async def _write(
        self, delivery: Delivery, good: str, paths: tuple[str, ...], why: str, help_: str
    ) -> Reverted:
        for attempt in range(TRIES):
            try:
                found = await self._writer.revert_paths(
                    delivery.repo,
                    delivery.branch,
                    delivery.revision,
                    paths,
                    message(delivery, good, why),
                    self._settings.author,
                    good=good,
                )
            except StaleBranchError:
                if attempt == TRIES - 1:
                    raise
                continue
            if isinstance(found, Conflict):
                return Reverted(None, f"git was left as it is: {found.why} A person is needed: {help_}")
            return Reverted(found.sha, f"reverted in git by {found.sha[:SHORT]}")
        raise AssertionError("the last try returns or raises")


def files_of(*deployments: Deployment | None) -> set[str]:
    """Return all files that these deployments were made of."""
    return {path for each in deployments if each is not None for path in each.files}
