"""The columns of each resource, as kubectl's users know them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from windlass.kube.selectors import selector_text

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
Cell = Callable[[Object, float], Any]
NONE = "<none>"
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Priority 0 is always shown, others by `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"


def now() -> float:
    """Return the time against which ages are counted."""
    return time.time()


def human(seconds: float) -> str:
    """Write a duration as kubectl does: 45s, 3m20s, 47m, 5h12m, 3d4h, 20d, 2y."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    for below, big, small in (
        (whole < 120, (whole, "s"), (0, "s")),
        (minutes < 10, (minutes, "m"), (whole % 60, "s")),
        (hours < 3, (minutes, "m"), (0, "s")),
        (hours < 8, (hours, "h"), (minutes % 60, "m")),
        (hours < 48, (hours, "h"), (0, "h")),
        (days < 8, (days, "d"), (hours % 24, "h")),
        (days < 730, (days, "d"), (0, "d")),
    ):
        if below:
            return "".join((f"{big[0]}{big[1]}", f"{small[0]}{small[1]}" if small[0] else ""))
    return f"{days // 365}y{days % 365}d"


def since(text: str | None, at: float) -> str:
    """Write the time since an RFC 3339 time."""
    if not text:
        return "<unknown>"
    try:
        return human(at - datetime.fromisoformat(text).timestamp())
    except ValueError:
        return "<invalid>"


def get(obj: Any, path: str, default: Any = None) -> Any:
    """Return what stands at a dotted path."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return default if obj is None else obj


def field(path: str, default: Any = "") -> Cell:
    """Show a field."""
    return lambda obj, _: get(obj, path, default)


def count(path: str) -> Cell:
    """Show how many entries there are."""
    return lambda obj, _: len(get(obj, path, ()))


def _age(obj: Object, at: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), at)


NAME = Column("Name", lambda obj, _: obj["metadata"]["name"])
AGE = Column("Age", _age)


def _containers(what: str) -> Cell:
    return lambda obj, _: ",".join(c.get(what, "") for c in get(obj, "spec.template.spec.containers", ()))


def _template_columns(obj: Object, _: float) -> str:
    return selector_text(get(obj, "spec.selector")) or NONE


def _labels(path: str) -> Cell:
    return lambda obj, _: ",".join(f"{k}={v}" for k, v in sorted(get(obj, path, {}).items())) or NONE


def _pod_status(pod: Object, _: float) -> str:
    reason = get(pod, "status.reason") or get(pod, "status.phase", "Unknown")
    waiting = _init_reason(pod)
    if waiting is None:
        for status in reversed(get(pod, "status.containerStatuses", ())):
            state = status.get("state") or {}
            if why := get(state, "waiting.reason"):
                reason = why
            elif "terminated" in state:
                reason = _terminated(state["terminated"])
        if reason == "Completed" and any(
            status.get("ready") and "running" in (status.get("state") or {})
            for status in get(pod, "status.containerStatuses", ())
        ):
            reason = "Running" if _condition(pod, "Ready") == "True" else "NotReady"
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    return str(waiting or reason)


def _terminated(state: Object) -> str:
    if state.get("reason"):
        return str(state["reason"])
    return f"Signal:{state['signal']}" if state.get("signal") else f"ExitCode:{state.get('exitCode', 0)}"


def _init_reason(pod: Object) -> str | None:
    statuses = get(pod, "status.initContainerStatuses", ())
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        terminated = state.get("terminated")
        if terminated and terminated.get("exitCode") == 0:
            continue
        if terminated:
            return f"Init:{_terminated(terminated)}"
        why = get(state, "waiting.reason")
        if why and why != "PodInitializing":
            return f"Init:{why}"
        return f"Init:{index}/{len(get(pod, 'spec.initContainers', ()))}"
    return None


def _condition(obj: Object, kind: str) -> str:
    return next((c.get("status", "") for c in get(obj, "status.conditions", ()) if c.get("type") == kind), "")


def _pod_ready(pod: Object, _: float) -> str:
    ready = sum(1 for status in get(pod, "status.containerStatuses", ()) if status.get("ready"))
    return f"{ready}/{len(get(pod, 'spec.containers', ()))}"


def _restarts(pod: Object, at: float) -> str:
    statuses = get(pod, "status.containerStatuses", ())
    restarts = sum(status.get("restartCount", 0) for status in statuses)
    ends = [end for status in statuses if (end := get(status, "lastState.terminated.finishedAt"))]
    return f"{restarts} ({since(max(ends), at)} ago)" if restarts and ends else str(restarts)


def _gates(pod: Object, _: float) -> str:
    gates = get(pod, "spec.readinessGates", ())
    good = sum(1 for gate in gates if _condition(pod, gate.get("conditionType", "")) == "True")
    return f"{good}/{len(gates)}" if gates else NONE


def _ports(service: Object, _: float) -> str:
    shown = []
    for port in get(service, "spec.ports", ()):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _external(service: Object, _: float) -> str:
    """Show the address at the edge where there is one."""
    if get(service, "spec.type") == "ExternalName":
        return str(get(service, "spec.externalName", NONE))
    if address := (service["metadata"].get("annotations") or {}).get("windlass.dev/address"):
        return str(address)
    return ",".join(get(service, "spec.externalIPs", ())) or NONE


def _roles(node: Object, _: float) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key[len(prefix) :] for key in labels if key.startswith(prefix))) or NONE


def _node_status(node: Object, _: float) -> str:
    words = {"True": "Ready", "False": "NotReady"}
    status = words.get(_condition(node, "Ready"), "Unknown")
    return status + (",SchedulingDisabled" if get(node, "spec.unschedulable") else "")


def _address(node: Object, _: float) -> str:
    return next(
        (a["address"] for a in get(node, "status.addresses", ()) if a.get("type") == "InternalIP"), NONE
    )


def _involved(event: Object, _: float) -> str:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _last_seen(event: Object, at: float) -> str:
    return since(
        event.get("lastTimestamp") or get(event, "series.lastObservedTime") or event.get("eventTime"), at
    )


def _hosts(ingress: Object, _: float) -> str:
    return ",".join(rule.get("host") or "*" for rule in get(ingress, "spec.rules", ())) or "*"


def _ingress_address(ingress: Object, _: float) -> str:
    entries = get(ingress, "status.loadBalancer.ingress", ())
    return ",".join(entry.get("hostname") or entry.get("ip", "") for entry in entries)


def _subset_addresses(endpoints: Object, _: float) -> str:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in endpoints.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    return _some(found)


def _some(found: list[str]) -> str:
    more = f" + {len(found) - SHOWN} more..." if len(found) > SHOWN else ""
    return (",".join(found[:SHOWN]) + more) or NONE


def _slice_addresses(entry: Object, _: float) -> str:
    return _some([address for e in entry.get("endpoints") or () for address in e.get("addresses") or ()])


def _slice_ports(entry: Object, _: float) -> str:
    return _some([str(port.get("port", "*")) for port in entry.get("ports") or ()])


def _deployment_ready(obj: Object, _: float) -> str:
    return f"{get(obj, 'status.readyReplicas', 0)}/{get(obj, 'spec.replicas', 0)}"


WORKLOAD = (
    Column("Containers", _containers("name"), 1),
    Column("Images", _containers("image"), 1),
    Column("Selector", _template_columns, 1),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "pods": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", field("status.podIP", NONE), 1),
        Column("Node", field("spec.nodeName", NONE), 1),
        Column("Nominated Node", field("status.nominatedNodeName", NONE), 1),
        Column("Readiness Gates", _gates, 1),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", _deployment_ready),
        Column("Up-to-date", field("status.updatedReplicas", 0), type="integer"),
        Column("Available", field("status.availableReplicas", 0), type="integer"),
        AGE,
        *WORKLOAD,
    ),
    "replicasets.apps": (
        NAME,
        Column("Desired", field("spec.replicas", 0), type="integer"),
        Column("Current", field("status.replicas", 0), type="integer"),
        Column("Ready", field("status.readyReplicas", 0), type="integer"),
        AGE,
        *WORKLOAD,
    ),
    "services": (
        NAME,
        Column("Type", field("spec.type")),
        Column("Cluster-IP", field("spec.clusterIP", NONE)),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", _labels("spec.selector"), 1),
    ),
    "configmaps": (
        NAME,
        Column(
            "Data", lambda o, _: len(o.get("data") or ()) + len(o.get("binaryData") or ()), type="integer"
        ),
        AGE,
    ),
    "secrets": (NAME, Column("Type", field("type")), Column("Data", count("data"), type="integer"), AGE),
    "namespaces": (NAME, Column("Status", field("status.phase")), AGE),
    "serviceaccounts": (NAME, Column("Secrets", count("secrets"), type="integer"), AGE),
    "nodes": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _roles),
        AGE,
        Column("Version", field("status.nodeInfo.kubeletVersion")),
        Column("Internal-IP", _address, 1),
        Column("OS-Image", field("status.nodeInfo.osImage", "<unknown>"), 1),
        Column("Kernel-Version", field("status.nodeInfo.kernelVersion", "<unknown>"), 1),
        Column("Container-Runtime", field("status.nodeInfo.containerRuntimeVersion", "<unknown>"), 1),
    ),
    "events": (
        Column("Last Seen", _last_seen),
        Column("Type", field("type")),
        Column("Reason", field("reason")),
        Column("Object", _involved),
        Column("Subobject", field("involvedObject.fieldPath"), 1),
        Column("Source", field("source.component"), 1),
        Column("Message", lambda obj, _: str(obj.get("message", "")).strip()),
        Column("First Seen", lambda obj, at: since(obj.get("firstTimestamp") or obj.get("eventTime"), at), 1),
        Column("Count", field("count", 1), 1),
        Column("Name", lambda obj, _: obj["metadata"]["name"], 1),
    ),
    "ingresses.networking.k8s.io": (
        NAME,
        Column("Class", field("spec.ingressClassName", NONE)),
        Column("Hosts", _hosts),
        Column("Address", _ingress_address),
        Column("Ports", lambda obj, _: "80, 443" if get(obj, "spec.tls") else "80"),
        AGE,
    ),
    "endpoints": (NAME, Column("Endpoints", _subset_addresses), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        Column("AddressType", field("addressType")),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_addresses),
        AGE,
    ),
    "leases.coordination.k8s.io": (NAME, Column("Holder", field("spec.holderIdentity")), AGE),
    "applications.argoproj.io": (
        NAME,
        Column("Sync Status", field("status.sync.status")),
        Column("Health Status", field("status.health.status")),
        Column("Revision", field("status.sync.revision"), 10),
        Column("Project", field("spec.project"), 10),
    ),
}


@cache
def of(resource: Resource) -> tuple[Column, ...]:
    """Return the columns of a resource; name and age where there are no others."""
    return COLUMNS.get(resource.key, (NAME, AGE))
