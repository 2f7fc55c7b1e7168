"""The EndpointSlice controller's decisions: which pods stand behind a Service, and whether they are ready."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers.effects import Create, Delete, Patch
from windlass.kube.local.controllers.meta import (
    controlled_by,
    deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    status_of,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.effects import Effect
    from windlass.kube.local.controllers.meta import Object

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"


def decide(
    service: Object, pods: Sequence[Object], slices: Sequence[Object], endpoints: Object | None
) -> list[Effect]:
    """Bring EndpointSlices and Endpoints of one Service up to date.

    `pods` and `slices` are those of its namespace. A Service without selector is left to whoever made its slices.
    """
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return []
    if deleting(service):
        return []
    members = _members(service, pods)
    own = [item for item in slices if labels_of(item).get(SERVICE_NAME) == name_of(service)]
    own = [item for item in own if controlled_by(item, service)]
    return _slices(service, members, own) + _endpoints(service, members, endpoints)


def _members(service: Object, pods: Sequence[Object]) -> list[Object]:
    selector = service["spec"]["selector"]
    found = [
        pod
        for pod in pods
        if selector.items() <= labels_of(pod).items()
        and status_of(pod).get("podIP")
        and status_of(pod).get("phase") not in {"Succeeded", "Failed"}
    ]
    return sorted(found, key=name_of)


def target_port(port: Object, pod: Object) -> int | None:
    """Resolve `targetPort` in this pod: a number, or the name of a container's port; None if it has none."""
    target: int | str = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target or int(port["port"])
    if str(target).isdigit():
        return int(target)
    protocol = port.get("protocol", "TCP")
    containers = [
        *pod["spec"].get("containers", ()),
        *(c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"),
    ]
    for container in containers:
        for declared in container.get("ports") or ():
            if declared.get("name") == target and declared.get("protocol", "TCP") == protocol:
                return int(declared["containerPort"])
    return None


def _ports(service: Object, pod: Object) -> list[Object]:
    resolved = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            entry = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
            if port.get("appProtocol"):
                entry["appProtocol"] = port["appProtocol"]
            resolved.append(entry)
    return resolved


def _reference(pod: Object) -> Object:
    return {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)}


def _endpoint(service: Object, pod: Object) -> Object:
    serving = is_ready(pod)
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    conditions = {
        "ready": published or (serving and not deleting(pod)),
        "serving": serving,
        "terminating": deleting(pod),
    }
    endpoint: Object = {
        "addresses": [status_of(pod)["podIP"]],
        "conditions": conditions,
        "targetRef": _reference(pod),
    }
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    return endpoint


def _slices(service: Object, members: Sequence[Object], own: Sequence[Object]) -> list[Effect]:
    """One slice for each distinct set of resolved ports, named after it."""
    groups: dict[str, list[Object]] = defaultdict(list)
    for pod in members:
        groups[json.dumps(_ports(service, pod), sort_keys=True)].append(pod)
    if not groups:
        groups["[]"] = []
    desired = {}
    for ports, group in groups.items():
        fresh = _slice(service, json.loads(ports), [_endpoint(service, pod) for pod in group])
        desired[name_of(fresh)] = fresh
    present = {name_of(item): item for item in own}
    effects: list[Effect] = []
    for name, fresh in desired.items():
        old = present.get(name)
        if old is None:
            effects.append(Create(SLICES, fresh))
        elif patch := _difference(old, fresh, ("endpoints", "ports")):
            effects.append(Patch(SLICES, old, patch))
    return effects + [Delete(SLICES, item) for name, item in present.items() if name not in desired]


def _difference(old: Object, fresh: Object, fields: Sequence[str]) -> Object:
    patch: dict[str, Any] = {key: fresh[key] for key in fields if (old.get(key) or []) != fresh[key]}
    if (old["metadata"].get("labels") or {}) != fresh["metadata"]["labels"]:
        patch["metadata"] = {"labels": fresh["metadata"]["labels"]}
    return patch


def _slice(service: Object, ports: list[Object], endpoints: list[Object]) -> Object:
    suffix = hashlib.sha256(json.dumps([ports, uid_of(service)]).encode()).hexdigest()[:5]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(service)}-{suffix}",
            "namespace": namespace_of(service),
            "labels": {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: CONTROLLER},
            "ownerReferences": [owner_reference({"apiVersion": "v1", **service})],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def _endpoints(service: Object, members: Sequence[Object], present: Object | None) -> list[Effect]:
    """Return the older Endpoints object, which `kubectl get endpoints` and `describe service` read."""
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    subsets: dict[str, Object] = {}
    for pod in members:
        ports = _ports(service, pod)
        if deleting(pod):
            continue
        address = {"ip": status_of(pod)["podIP"], "targetRef": _reference(pod)}
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        side = "addresses" if published or is_ready(pod) else "notReadyAddresses"
        subset = subsets.setdefault(json.dumps(ports, sort_keys=True), {"ports": ports})
        subset.setdefault(side, []).append(address)
    fresh = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": name_of(service),
            "namespace": namespace_of(service),
            "labels": dict(labels_of(service)),
        },
        "subsets": list(subsets.values()),
    }
    if present is None:
        return [Create("endpoints", fresh)]
    patch = _difference(present, fresh, ("subsets",))
    return [Patch("endpoints", present, patch)] if patch else []
