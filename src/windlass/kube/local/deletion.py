"""How objects are deleted: at once, or marked until grace periods and finalizers let go of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import BadRequestError, ConflictError

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN, "Background": None, None: None}


def check(kind: Resource, old: Object, uid: str | None, version: str | None) -> None:
    """Raise ConflictError when the preconditions do not hold."""
    meta = old["metadata"]
    for label, wanted, have in (
        ("UID", uid, meta["uid"]),
        ("ResourceVersion", version, meta["resourceVersion"]),
    ):
        if wanted is not None and wanted != have:
            raise ConflictError(
                f'Operation cannot be fulfilled on {kind.key} "{meta["name"]}": the {label} in the precondition '
                f"({wanted}) does not match the {label} in record ({have}). The object might have been deleted and"
                " then recreated",
                details={"name": meta["name"], "kind": kind.plural},
            )


def _pod_grace(old: Object, grace: float | None) -> int:
    """Return the seconds that a pod gets; none when nothing runs that could use them."""
    spec, status = old.get("spec") or {}, old.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    asked = spec.get("terminationGracePeriodSeconds", 30) if grace is None else grace
    if asked < 0:
        raise BadRequestError("gracePeriodSeconds must not be negative")
    return int(asked)


def _finalizers(meta: Object, propagation: str | None) -> list[str]:
    if propagation not in FINALIZERS:
        raise BadRequestError(
            f"propagationPolicy {propagation!r} is not one of Background, Foreground, Orphan"
        )
    kept = [
        name
        for name in meta.get("finalizers") or ()
        if name not in {FOREGROUND, ORPHAN} or propagation is None
    ]
    added = FINALIZERS[propagation]
    return [*kept, added] if added and added not in kept else kept


def marked(kind: Resource, old: Object, grace: float | None, propagation: str | None) -> Object | None:
    """Return the object marked as being deleted; None when nothing holds it; `old` when it is marked already."""
    meta = old["metadata"]
    seconds = _pod_grace(old, grace) if kind.key == "pods" else 0
    finalizers = _finalizers(meta, propagation)
    holds_namespace = kind.key == "namespaces" and bool((old.get("spec") or {}).get("finalizers"))
    if not finalizers and seconds == 0 and not holds_namespace:
        return None
    already = meta.get("deletionGracePeriodSeconds") if "deletionTimestamp" in meta else None
    if already is not None:
        seconds = min(seconds, int(already))
        if seconds == already and finalizers == (meta.get("finalizers") or []):
            return old
    changed = {**meta, "deletionGracePeriodSeconds": seconds}
    if already is None or seconds < already:
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        changed["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    changed = {**changed, "finalizers": finalizers} if finalizers else changed
    if not finalizers:
        changed.pop("finalizers", None)
    new = {**old, "metadata": changed}
    if "generation" in meta and already is None:
        changed["generation"] = int(meta["generation"]) + 1
    if kind.key == "namespaces":
        new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return new


def is_over(kind: Resource, obj: Object) -> bool:
    """Whether nothing holds an object any more that was marked as being deleted."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    if kind.key == "namespaces" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return kind.key != "pods" or not meta.get("deletionGracePeriodSeconds")
