"""A pod's status from what runs: container states, phase and conditions, as kubelet writes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.meta import annotations_of, deleting, stamp, status_of
from windlass.kube.local.node.decide import latest
from windlass.kube.local.node.images import repository
from windlass.kube.local.node.names import IMAGE, attempt_of
from windlass.kube.local.node.spec import is_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.engine.port import Container
    from windlass.kube.local.controllers.meta import Object

OURS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
STATIC = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run: reason and message."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a pod's containers."""

    containers: Mapping[str, Sequence[Container]]
    ready: Mapping[str, bool]
    started: Mapping[str, bool]
    waiting: Mapping[str, Waiting]
    backing_off: Mapping[str, float]
    messages: Mapping[str, str]
    initialized: bool
    engine: str
    pod_ip: str = ""
    host_ip: str = "127.0.0.1"
    trouble: Waiting | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Why containers are not ready: the last failure of their probe."""


def ended(container: Container, message: str = "") -> Object:
    """State `terminated` of an ended container. 137 is an out-of-memory kill only where the engine says so."""
    code = container.exit_code if container.exit_code is not None else 137
    reason = "OOMKilled" if container.oom else "Completed" if code == 0 else "Error"
    state: Object = {
        "exitCode": code,
        "reason": reason,
        "startedAt": stamp(container.started_at) if container.started_at else None,
        "finishedAt": stamp(container.finished_at) if container.finished_at else None,
        "message": message or container.error or None,
    }
    return {key: value for key, value in state.items() if value is not None}


def _state(spec: Object, last: Container | None, view: View) -> Object:
    name = spec["name"]
    if last is not None and last.state == "running":
        return {"running": {"startedAt": stamp(last.started_at)}}
    if name in view.backing_off:
        text = f"back-off {view.backing_off[name]:g}s restarting failed container={name}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
    waiting = view.waiting.get(name) or view.trouble
    if waiting is not None and (
        last is None or last.state == "created" or waiting.reason != "ContainerCreating"
    ):
        return {
            "waiting": {"reason": waiting.reason, **({"message": waiting.message} if waiting.message else {})}
        }
    if last is not None and last.state == "exited":
        return {"terminated": ended(last, view.messages.get(last.id, ""))}
    return {"waiting": {"reason": "ContainerCreating" if view.initialized else "PodInitializing"}}


def container_status(spec: Object, view: View) -> Object:
    """Return one entry of `containerStatuses`."""
    attempts = view.containers.get(spec["name"]) or ()
    last = attempts[-1] if attempts else None
    state = _state(spec, last, view)
    before = next((item for item in reversed(attempts) if item.state == "exited"), None)
    if "terminated" in state:
        before = next((item for item in reversed(attempts[:-1]) if item.state == "exited"), None)
    running = "running" in state
    status: dict[str, Any] = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": _image_id(spec, last),
        "restartCount": attempt_of(last) if last is not None else 0,
        "ready": running and view.ready.get(spec["name"], False),
        "started": running and view.started.get(spec["name"], False),
        "state": state,
        "lastState": {"terminated": ended(before, view.messages.get(before.id, ""))}
        if before is not None
        else {},
    }
    if last is not None:
        status["containerID"] = f"{view.engine}://{last.id}"
    return status


def _image_id(spec: Object, last: Container | None) -> str:
    if last is None:
        return ""
    digest = last.labels.get(IMAGE) or last.image_digest
    return f"{repository(spec['image'])}@{digest}" if digest.startswith("sha256:") else digest


def _init_ready(spec: Object, entry: Object) -> bool:
    if is_sidecar(spec):
        return bool(entry["ready"])
    return (entry["state"].get("terminated") or {}).get("exitCode") == 0


def phase(pod: Object, view: View) -> str:
    """Pending until all containers have been started, then Running until the restart policy lets none run."""
    policy = pod["spec"].get("restartPolicy") or "Always"
    for container in pod["spec"].get("initContainers") or ():
        last = latest(view.containers, container["name"])
        failed = last is not None and last.state == "exited" and last.exit_code != 0
        if not is_sidecar(container) and failed and policy == "Never":
            return "Failed"
    lasts = [latest(view.containers, container["name"]) for container in pod["spec"]["containers"]]
    if not view.initialized or any(last is None or last.state == "created" for last in lasts):
        return "Pending"
    codes = [last.exit_code for last in lasts if last is not None and last.state == "exited"]
    if len(codes) < len(lasts) or policy == "Always":
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _condition(kind: str, ok: bool, reason: str = "", message: str = "") -> Object:
    found = {"type": kind, "status": "True" if ok else "False"}
    return {**found, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}


def conditions(
    pod: Object, view: View, entries: Sequence[Object], ended_phase: str, now: float
) -> list[Object]:
    """Our four conditions and everybody else's, whose readiness gates are read from `pod` as it is now."""
    present: list[Object] = list(status_of(pod).get("conditions") or ())
    table = {item["type"]: item for item in present}
    unready = [entry["name"] for entry in entries if not entry["ready"]]
    finished = ended_phase in {"Succeeded", "Failed"}
    done = _condition("Initialized", view.initialized or finished, "", "")
    if not view.initialized:
        names = [c["name"] for c in pod["spec"].get("initContainers") or ()]
        done = _condition(
            "Initialized", False, "ContainersNotInitialized", f"containers with incomplete status: {names}"
        )
    if finished:
        why = "PodCompleted" if ended_phase == "Succeeded" else "PodFailed"
        both = ("ContainersReady", False, why, ""), ("Ready", False, why, "")
    elif unready or not view.initialized:
        text = f"containers with unready status: [{' '.join(unready)}]"
        text = "; ".join([text, *(view.evidence[name] for name in unready if name in view.evidence)])
        both = (
            ("ContainersReady", False, "ContainersNotReady", text),
            ("Ready", False, "ContainersNotReady", text),
        )
    else:
        closed = _closed_gates(pod, table)
        both = ("ContainersReady", True, "", ""), ("Ready", not closed, *_gate_words(closed))
    fresh = [_condition("PodScheduled", True), done, *(_condition(*item) for item in both)]
    kept = [item for item in present if item["type"] not in OURS]
    return [*(_timed(item, table.get(item["type"]), now) for item in fresh), *kept]


def _closed_gates(pod: Object, table: Mapping[str, Object]) -> list[str]:
    closed = []
    for gate in pod["spec"].get("readinessGates") or ():
        found = table.get(gate["conditionType"])
        if found is None:
            kind = gate["conditionType"]
            closed.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found["status"] != "True":
            kind, status = gate["conditionType"], found["status"]
            closed.append(f'the status of pod readiness gate "{kind}" is not "True", but {status}')
    return closed


def _gate_words(closed: Sequence[str]) -> tuple[str, str]:
    return ("ReadinessGatesNotReady", ", ".join(closed)) if closed else ("", "")


def _timed(new: Object, old: Object | None, now: float) -> Object:
    """`lastTransitionTime` changes with the status alone."""
    if old is not None and old["status"] == new["status"] and old.get("lastTransitionTime"):
        return {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return {**new, "lastTransitionTime": stamp(now)}


def pod_status(pod: Object, view: View, now: float) -> Object:
    """Return the whole status. `pod` is the object as it is now, so that others' conditions are kept."""
    old = status_of(pod)
    entries = [container_status(spec, view) for spec in pod["spec"]["containers"]]
    inits = [(spec, container_status(spec, view)) for spec in pod["spec"].get("initContainers") or ()]
    sidecars = [entry for spec, entry in inits if is_sidecar(spec)]
    what = phase(pod, view)
    status: dict[str, Any] = {
        **old,
        "phase": what,
        "conditions": conditions(pod, view, [*sidecars, *entries], what, now),
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "startTime": old.get("startTime") or stamp(now),
        "qosClass": old.get("qosClass") or qos(pod),
        "containerStatuses": entries,
    }
    if inits:
        status["initContainerStatuses"] = [
            {**entry, "ready": _init_ready(spec, entry)} for spec, entry in inits
        ]
    if view.pod_ip:
        status |= {"podIP": view.pod_ip, "podIPs": [{"ip": view.pod_ip}]}
    return status


def qos(pod: Object) -> str:
    """Return Guaranteed, Burstable or BestEffort."""
    resources = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(item.get("limits") or item.get("requests") for item in resources):
        return "BestEffort"
    for item in resources:
        limits = item.get("limits") or {}
        if {"cpu", "memory"} - limits.keys() or {**limits, **(item.get("requests") or {})} != limits:
            return "Burstable"
    return "Guaranteed"


def seeds(pod: Object, container: Container) -> tuple[bool, bool]:
    """`(ready, started)` as the status last said of this very container: a restarted server begins there."""
    statuses = [
        *(status_of(pod).get("containerStatuses") or ()),
        *(status_of(pod).get("initContainerStatuses") or ()),
    ]
    for entry in statuses:
        if str(entry.get("containerID", "")).endswith(f"://{container.id}") and "running" in entry["state"]:
            return bool(entry["ready"]), bool(entry.get("started"))
    return False, False


def is_ours(pod: Object, node: str) -> bool:
    """Whether the pod is to run here."""
    return pod["spec"].get("nodeName") == node and STATIC not in annotations_of(pod)


def is_leaving(pod: Object) -> bool:
    """Whether the pod is being deleted."""
    return deleting(pod)
