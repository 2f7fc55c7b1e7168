"""From what is in the cluster to what a rollout cares about. Pure but for the mirror it reads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from windlass.delivery import marks
from windlass.delivery.decorate import deadline, replicas
from windlass.delivery.mirror import DEPLOYMENT, POD, REPLICA_SET
from windlass.delivery.rollout import CRASHES, Pod, Workload
from windlass.manifests import Health, annotations_of, differences, dig, health, identify, pod_template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.delivery.mirror import Mirror
    from windlass.manifests import Object

UNPULLABLE = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CRASHED = "CrashLoopBackOff"
SAID = 300
"""Characters of what a probe was answered that a reason holds."""


def _condition(item: Object, kind: str) -> Object:
    found = dig(item, "status", "conditions") or []
    return next((each for each in found if each.get("type") == kind), {})


def _time(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _owner(item: Object, uid: str) -> bool:
    return any(each.get("uid") == uid for each in item["metadata"].get("ownerReferences") or [])


def gated_pod(item: Object) -> bool:
    """Whether the pod has the readiness gate."""
    gates = dig(item, "spec", "readinessGates") or []
    return any(gate.get("conditionType") == marks.TRAFFIC for gate in gates)


def _container_trouble(status: Object) -> tuple[str, str]:
    """Return what is definitely wrong with a container, and what it waits for otherwise."""
    name, restarts = status.get("name"), int(status.get("restartCount") or 0)
    waiting = dig(status, "state", "waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    last = dig(status, "lastState", "terminated") or dig(status, "state", "terminated") or {}
    if reason in UNPULLABLE:
        return (
            f"the image {status.get('image')} of container {name} cannot be pulled: {message or reason}",
            "",
        )
    if restarts >= CRASHES and (reason == CRASHED or last):
        code = f", exit code {last.get('exitCode')}" if last else ""
        return f"container {name} crashes again and again ({restarts} restarts{code})", ""
    return "", f"container {name}: {reason}{': ' + message if message else ''}" if reason else ""


def _unready(item: Object) -> str:
    """Return what keeps containers that run from being ready: what a probe was answered."""
    condition = _condition(item, "ContainersReady")
    if condition.get("status") == "True" or dig(item, "status", "phase") != "Running":
        return ""
    return str(condition.get("message") or "")[:SAID]


def pod(item: Object, verdict: str = "", live: str = "") -> Pod:
    """Return what a rollout cares about.

    `verdict` is what our own probing found definitely wrong, `live` the template that was live before.
    """
    meta = item["metadata"]
    statuses = [
        *(dig(item, "status", "initContainerStatuses") or []),
        *(dig(item, "status", "containerStatuses") or []),
    ]
    troubles = [_container_trouble(status) for status in statuses]
    gate = _condition(item, marks.TRAFFIC).get("status")
    ready = _condition(item, "ContainersReady").get("status") == "True"
    failure = next((bad for bad, _ in troubles if bad), "") or verdict
    if dig(item, "status", "phase") == "Failed":
        failure = failure or str(dig(item, "status", "message") or "the pod failed")
    return Pod(
        meta.get("namespace", ""),
        meta["name"],
        meta["uid"],
        gated=gated_pod(item),
        gate=None if gate is None else gate == "True",
        containers_ready=ready,
        ready=_condition(item, "Ready").get("status") == "True",
        live=bool(live) and annotations_of(item).get(marks.TEMPLATE) == live,
        changed=_time(_condition(item, "Ready").get("lastTransitionTime")),
        failure="" if ready else failure,
        waiting=next((why for _, why in troubles if why), "") or _unready(item),
    )


def hindrance(workload: Workload) -> Health | None:
    """Return what keeps a workload that is not healthy from it, in the words of its pods."""
    if workload.healthy:
        return None
    failures = [f"pod {each.name}: {each.failure}" for each in workload.new if each.failure]
    if failures:
        return Health("Degraded", failures[0])
    waiting = sorted({each.waiting for each in workload.new if each.waiting and not each.containers_ready})
    return Health("Progressing", "; ".join(waiting)) if waiting else None


def pods_of(
    mirror: Mirror, deployment: Object, template: str, wanted: Object
) -> tuple[list[Object], list[Object]]:
    """Return a Deployment's pods (none that are being deleted): those of the wanted template, and the others.

    A ReplicaSet that bears the template's mark but was made from a template that somebody changed since is
    an other.
    """
    space, uid = deployment["metadata"].get("namespace", ""), deployment["metadata"].get("uid", "")
    sets = {item["metadata"]["uid"]: item for item in mirror.items(REPLICA_SET, space) if _owner(item, uid)}
    good = {key for key, item in sets.items() if _is_of(item, template, wanted)}
    new: list[Object] = []
    old: list[Object] = []
    for item in mirror.items(POD, space):
        meta = item["metadata"]
        owners = {each.get("uid") for each in meta.get("ownerReferences") or []}
        if meta.get("deletionTimestamp") or not owners & sets.keys():
            continue
        if dig(item, "status", "phase") == "Failed" and dig(item, "status", "reason") in (
            "Evicted",
            "NodeLost",
        ):
            continue
        (new if owners & good else old).append(item)
    return new, old


def _is_of(replica_set: Object, template: str, wanted: Object) -> bool:
    inner = dig(replica_set, "spec", "template") or {}
    if annotations_of(inner).get(marks.TEMPLATE) != template:
        return False
    return not differences({"spec": {"template": pod_template(wanted)}}, {"spec": {"template": inner}})


def settled(live: Object) -> bool:
    """Whether the Deployment controller has nothing left to do."""
    status = live.get("status") or {}
    count = replicas(live)
    return (
        int(status.get("observedGeneration") or 0) >= int(live["metadata"].get("generation") or 0)
        and int(status.get("updatedReplicas") or 0) >= count
        and int(status.get("replicas") or 0) <= int(status.get("updatedReplicas") or 0)
        and int(status.get("availableReplicas") or 0) >= count
    )


def workload(
    mirror: Mirror,
    wanted: Object,
    *,
    template: str,
    gated: bool,
    pending: bool,
    before: str = "",
    verdicts: Callable[[str], str] = lambda _: "",
) -> Workload:
    """Observe one workload. `wanted` is the object as it is applied, `before` the template that was live.

    `verdicts` gives our own for a pod's uid.
    """
    live = mirror.same(wanted)
    key, found = marks.workload_key(wanted), identify(wanted)
    count = replicas(wanted) if found.kind in ("Deployment", "StatefulSet", "ReplicaSet") else 1
    note = annotations_of(wanted).get(marks.DEADLINE)
    limit = float(note) if note else deadline(wanted)
    if live is None:
        return Workload(key, gated, pending, count, limit)
    if found.kind == "Deployment" and dig(wanted, "spec", "replicas") is None:
        count = replicas(live)  # somebody else scales it
    status = health(live)
    stale = int(dig(live, "status", "observedGeneration") or 0) < int(live["metadata"].get("generation") or 0)
    state = status.status if status else "Healthy"
    new: Sequence[Object] = ()
    old: Sequence[Object] = ()
    if (found.group, found.kind) == DEPLOYMENT:
        new, old = pods_of(mirror, live, template, wanted)
    return Workload(
        key,
        gated,
        pending,
        count,
        limit,
        tuple(pod(item, verdicts(item["metadata"]["uid"])) for item in new),
        tuple(pod(item, live=before) for item in old),
        settled=settled(live) if found.kind == "Deployment" else state == "Healthy",
        healthy=state == "Healthy",
        degraded=(status.message or state) if status and state == "Degraded" and not stale else "",
    )
