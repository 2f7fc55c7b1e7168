"""Kubernetes objects as plain dicts: their identity and the few questions everybody asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]

# Built-in kinds without a namespace. What is not listed is taken to have one; a cluster's discovery knows better.
CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Id:
    """Who an object is: the version is left out, for the same object is served in several."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind} {self.namespace}/{self.name}" if self.namespace else f"{kind} {self.name}"


def split_api_version(value: str) -> tuple[str, str]:
    """Split `apps/v1` into group and version; the core group is empty."""
    group, slash, version = value.rpartition("/")
    return (group, version) if slash else ("", value)


def identify(item: Object, namespace: str = "") -> Id:
    """Return the object's id; `namespace` stands in where a namespaced object names none."""
    group, _ = split_api_version(str(item.get("apiVersion", "")))
    kind = str(item.get("kind", ""))
    meta = item.get("metadata") or {}
    own = "" if kind in CLUSTER_SCOPED else str(meta.get("namespace") or namespace)
    return Id(group, kind, own, str(meta.get("name") or meta.get("generateName") or ""))


def annotations_of(item: Object) -> dict[str, str]:
    """Return the object's annotations (a copy, possibly empty)."""
    return dict((item.get("metadata") or {}).get("annotations") or {})


def dig(value: Any, *path: str | int) -> Any:
    """Walk down dicts and lists; None where the path ends early."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def pod_template(item: Object) -> Object | None:
    """Return the pod template of a workload (a pod is its own), or None."""
    kind = item.get("kind")
    if kind == "Pod":
        return item
    found = dig(item, "spec", "jobTemplate", "spec", "template") if kind == "CronJob" else None
    found = found or dig(item, "spec", "template")
    return found if isinstance(found, dict) and isinstance(found.get("spec"), dict) else None


def containers(item: Object) -> Iterable[Object]:
    """Yield all containers of a workload's pod template, init containers first."""
    spec = (pod_template(item) or {}).get("spec") or {}
    for field in ("initContainers", "containers"):
        yield from (entry for entry in spec.get(field) or [] if isinstance(entry, dict))
