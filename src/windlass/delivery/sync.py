"""What has to be applied and pruned so that the cluster is as wanted; deciding it, and doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from windlass.delivery import marks
from windlass.delivery.decorate import comparable, decorate
from windlass.kube import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    KubeError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
)
from windlass.kube.errors import TooManyRequestsError
from windlass.manifests import annotations_of, apply_order, differences, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from windlass.delivery.mirror import Mirror
    from windlass.delivery.render import Target
    from windlass.kube import Kube
    from windlass.manifests import Object

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to apply, in order, and what to delete, in order."""

    apply: tuple[Object, ...]
    prune: tuple[Object, ...]

    @property
    def empty(self) -> bool:
        """Whether the cluster is as wanted."""
        return not self.apply and not self.prune


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one object: `status` is Synced, SyncFailed or Pruned."""

    item: Object
    status: str
    message: str
    transient: bool = False


def wanted(target: Target, *, app: str, application: str, pending: Iterable[str]) -> list[Object]:
    """Return the target's objects as they are applied, while the cut-over of `pending` is not finished."""
    cutting = set(pending)
    return [
        decorate(
            item,
            app=app,
            application=application,
            gated=marks.workload_key(item) in target.gated,
            pending=marks.workload_key(item) in cutting,
        )
        for item in target.objects
    ]


def needs_apply(item: Object, live: Object | None) -> bool:
    """Whether an object is missing, was applied otherwise, or has drifted."""
    if live is None:
        return True
    if annotations_of(live).get(marks.APPLIED) != annotations_of(item).get(marks.APPLIED):
        return True
    return bool(differences(item, live))


def plan(
    items: Sequence[Object],
    live: Callable[[Object], Object | None],
    tracked: Iterable[Object],
    *,
    prune: bool,
) -> Plan:
    """Decide what is to be done. `tracked` are the live objects that bear the Application's mark."""
    apply = [item for item in apply_order(items) if needs_apply(item, live(item))]
    return Plan(tuple(apply), tuple(strays(items, tracked)) if prune else ())


def strays(items: Iterable[Object], tracked: Iterable[Object]) -> list[Object]:
    """Return what is tracked and no longer wanted, in the order of deletion."""
    kept = {identify(item) for item in items}
    found = [
        item
        for item in tracked
        if identify(item) not in kept
        and not item["metadata"].get("deletionTimestamp")
        and not marks.option(item, "Prune=false")
    ]
    return apply_order(found)[::-1]


def out_of_sync(target: Target, live: Callable[[Object], Object | None]) -> dict[str, str]:
    """Return the status (Synced, OutOfSync) of each rendered object, by its id."""
    found = {}
    for item in target.objects:
        there = live(item)
        shown = comparable(item, gated=marks.workload_key(item) in target.gated)
        same = there is not None and not differences(shown, there)
        found[str(identify(item))] = "Synced" if same else "OutOfSync"
    return found


def complete(target: Target, results: Sequence[Result]) -> list[Result]:
    """Return a result for every object of a target: those that needed nothing are unchanged."""
    done = {identify(result.item): result for result in results}
    return [
        done.get(identify(item)) or Result(item, "Synced", f"{_name(item)} unchanged")
        for item in target.objects
    ]


def _name(item: Object) -> str:
    found = identify(item)
    return f"{found.kind.lower()}/{found.name}"


def remedy(item: Object, error: KubeError) -> str:
    """Return what helps where the cluster can never accept a change to an object that is there."""
    if not isinstance(error, InvalidError) or "field is immutable" not in error.message:
        return ""
    found = identify(item)
    return (
        f". It can never change in a {found.kind} that is there: take the change back, or give the {found.kind} "
        f"another name than {found.name} in git, so that a new one is made; the old one is pruned then, "
        "where the Application prunes"
    )


def _failed(item: Object, error: KubeError) -> Result:
    passing = isinstance(
        error, (UnreachableError, TimedOutError, UnavailableError, ConflictError, TooManyRequestsError)
    )
    return Result(item, "SyncFailed", f"{error}{remedy(item, error)}", transient=passing)


class Syncer:
    """Carries plans out: server-side apply under our field manager, and deletion."""

    def __init__(self, kube: Kube, mirror: Mirror) -> None:
        self._kube = kube
        self._mirror = mirror

    async def namespace(self, name: str) -> None:
        """Create a namespace where it is missing."""
        try:
            await self._kube.get("v1/Namespace", name)
        except NotFoundError:
            try:
                await self._kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            except AlreadyExistsError:
                return

    async def execute(self, steps: Plan) -> list[Result]:
        """Carry a plan out as far as it goes; an object that fails does not stop the others of its kind's rank."""
        results = []
        for item in steps.apply:
            try:
                self._mirror.wrote(await self._kube.apply(item, marks.MANAGER, force=True))
            except KubeError as error:
                results.append(_failed(item, error))
            else:
                results.append(Result(item, "Synced", f"{_name(item)} serverside-applied"))
        return results + [await self._prune(item) for item in steps.prune]

    async def _prune(self, item: Object) -> Result:
        meta = item["metadata"]
        try:
            await self._kube.delete(
                f"{item['apiVersion']}/{item['kind']}",
                meta["name"],
                meta.get("namespace"),
                propagation="Foreground",
                uid=meta.get("uid"),
                missing_ok=True,
            )
        except KubeError as error:
            return _failed(item, error)
        self._mirror.deleted(item)
        return Result(item, "Pruned", "pruned")
