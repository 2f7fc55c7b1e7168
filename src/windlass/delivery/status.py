"""An Application's status, as Argo CD writes it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.delivery import marks
from windlass.delivery.records import FAILED, HELD, LIVE, ROLLED_BACK, SUPERSEDED
from windlass.manifests import annotations_of, containers, dig, health, identify, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from windlass.delivery.records import Delivery, Hold
    from windlass.delivery.render import Source, Target
    from windlass.delivery.sync import Result
    from windlass.manifests import Health, Object

PHASES = {LIVE: "Succeeded", FAILED: "Failed", HELD: "Failed", ROLLED_BACK: "Failed", SUPERSEDED: "Failed"}
MAX_HISTORY = 10
DONE = "successfully synced (all tasks run)"


def timestamp(at: float) -> str:
    """Return a time as Kubernetes writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def resources(
    target: Target,
    live: Callable[[Object], Object | None],
    states: dict[str, str],
    holds: Sequence[Hold] = (),
    beyond: Mapping[str, Health] | None = None,
) -> list[Object]:
    """Return `status.resources`. What is held as it stands in the cluster is not progressing: it is degraded.

    `beyond` is the health, by workload key, that other objects tell of; it counts where it is not better.
    """
    held = {(hold.workload, hold.template): hold.reason for hold in holds}
    found = []
    for item in target.objects:
        own, there = identify(item), live(item)
        entry: Object = {"version": str(item.get("apiVersion", "")).rpartition("/")[2], "kind": own.kind}
        entry |= {"group": own.group} if own.group else {}
        entry |= {"namespace": own.namespace} if own.namespace else {}
        entry |= {"name": own.name, "status": states.get(str(own), "Unknown")}
        state, more = health(there), (beyond or {}).get(marks.workload_key(item))
        if state is not None and more is not None:
            state = more if worst((state.status, more.status)) == more.status else state
        if state is not None:
            entry["health"] = {"status": state.status} | ({"message": state.message} if state.message else {})
            inner = dig(there, "spec", "template") or {}
            template = annotations_of(inner).get(marks.TEMPLATE, "")
            if state.status == "Progressing" and (reason := held.get((marks.workload_key(item), template))):
                entry["health"] = {"status": "Degraded", "message": reason}
        found.append(entry)
    return found


def stray(item: Object) -> Object:
    """Return the entry of a resource that is tracked and no longer wanted."""
    own = identify(item)
    entry: Object = {
        "version": str(item.get("apiVersion", "")).rpartition("/")[2],
        "kind": own.kind,
        "name": own.name,
    }
    entry |= {"group": own.group} if own.group else {}
    entry |= {"namespace": own.namespace} if own.namespace else {}
    return {**entry, "status": "OutOfSync", "requiresPruning": True}


def overall(entries: Iterable[Object]) -> Object:
    """Return the Application's health out of its resources': the worst, and why."""
    healths = [entry["health"] for entry in entries if "health" in entry]
    status = worst(each["status"] for each in healths)
    said = [each["message"] for each in healths if each["status"] == status and each.get("message")]
    return {"status": status} | ({"message": said[0]} if said and status != "Healthy" else {})


def conditions(found: Sequence[tuple[str, str]], before: Object, now: float) -> list[Object]:
    """Return `status.conditions`: kept times where type and message are as before."""
    old = {(each.get("type"), each.get("message")): each for each in before.get("conditions") or []}
    return [
        {
            "type": kind,
            "message": message,
            "lastTransitionTime": (old.get((kind, message)) or {}).get("lastTransitionTime")
            or timestamp(now),
        }
        for kind, message in found
    ]


def operation_state(
    delivery: Delivery, source: Source, results: Sequence[Result], *, prune: bool, before: Object
) -> Object:
    """Return `status.operationState` of a delivery that has begun."""
    phase = PHASES.get(delivery.state, "Running")
    automated = delivery.initiated_by == "automated"
    by: Object = {"automated": True} if automated else {"username": delivery.initiated_by}
    state: Object = {
        "operation": {
            "initiatedBy": by,
            "sync": {"revision": delivery.revision, "prune": prune},
            "retry": {"limit": 0},
        },
        "phase": phase,
        "message": DONE if phase == "Succeeded" else delivery.reason,
        "startedAt": timestamp(delivery.created_at),
        "syncResult": {"revision": delivery.revision, "source": source.spec},
    }
    if delivery.ended_at is not None:
        state["finishedAt"] = timestamp(delivery.ended_at)
    entries = [_result(result) for result in results]
    old = dig(before, "operationState", "syncResult") or {}
    if not entries and old.get("revision") == delivery.revision:
        entries = old.get("resources") or []
    if entries:
        state["syncResult"]["resources"] = entries
    return state


def _result(result: Result) -> Object:
    own = identify(result.item)
    return {
        "group": own.group,
        "version": str(result.item.get("apiVersion", "")).rpartition("/")[2],
        "kind": own.kind,
        "namespace": own.namespace,
        "name": own.name,
        "status": result.status,
        "message": result.message,
        "hookPhase": "Failed" if result.status == "SyncFailed" else "Running",
        "syncPhase": "Sync",
    }


def history(lived: Sequence[Delivery], source: Source) -> list[Object]:
    """Return `status.history`, oldest first."""
    return [
        {
            "id": delivery.id,
            "revision": delivery.revision,
            "deployedAt": timestamp(delivery.ended_at or delivery.created_at),
            "deployStartedAt": timestamp(delivery.created_at),
            "source": source.spec,
            "initiatedBy": {"automated": True}
            if delivery.initiated_by == "automated"
            else {"username": delivery.initiated_by},
        }
        for delivery in sorted(lived, key=lambda each: each.id)[-MAX_HISTORY:]
    ]


def images(target: Target) -> list[str]:
    """Return `status.summary.images`."""
    return sorted(
        {str(each["image"]) for item in target.objects for each in containers(item) if each.get("image")}
    )


def addresses(target: Target, live: Callable[[Object], Object | None]) -> list[str]:
    """Return `status.summary.externalURLs`."""
    found = set()
    for item in target.objects:
        notes = dig(live(item) or {}, "metadata", "annotations") or {}
        if item.get("kind") == "Service" and marks.ADDRESS in notes:
            found.add(str(notes[marks.ADDRESS]))
    return sorted(found)


def merge(before: Object, new: Object, now: float) -> Object | None:
    """Return the merge patch for the status; None where nothing but the time of looking would change."""
    state = dict(new)
    for part in ("health",):
        old = before.get(part) or {}
        same = old.get("status") == new[part].get("status")
        state[part] = {
            **new[part],
            "lastTransitionTime": old.get("lastTransitionTime") if same else timestamp(now),
        }
        if not state[part]["lastTransitionTime"]:
            state[part]["lastTransitionTime"] = timestamp(now)
        if old.get("message") and not new[part].get("message"):
            state[part]["message"] = None  # a merge patch keeps what it does not name
    changed: dict[str, Any] = {key: value for key, value in state.items() if before.get(key) != value}
    if not changed:
        return None
    return {**changed, "reconciledAt": timestamp(now)}
