"""How lists and maps merge: the `x-kubernetes-list-type`, `-map-type` and patch keys of the built-in kinds.

A list that is not named here is atomic (replaced whole), as in Kubernetes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListRule:
    """`keys` identify an item for server-side apply (none: a set of scalars); `merge` does for strategic merge."""

    keys: tuple[str, ...] = ()
    merge: str = ""
    retain_keys: bool = False


SET = ListRule()
NAME = ListRule(("name",), "name")
TYPE = ListRule(("type",), "type")

LISTS: dict[tuple[str, str], ListRule] = {
    ("meta_v1.ObjectMeta", "finalizers"): SET,
    ("meta_v1.ObjectMeta", "ownerReferences"): ListRule(("uid",), "uid"),
    ("core_v1.PodSpec", "containers"): NAME,
    ("core_v1.PodSpec", "initContainers"): NAME,
    ("core_v1.PodSpec", "ephemeralContainers"): NAME,
    ("core_v1.PodSpec", "volumes"): ListRule(("name",), "name", retain_keys=True),
    ("core_v1.PodSpec", "imagePullSecrets"): NAME,
    ("core_v1.PodSpec", "hostAliases"): ListRule(("ip",), "ip"),
    ("core_v1.PodSpec", "schedulingGates"): NAME,
    ("core_v1.PodSpec", "resourceClaims"): ListRule(("name",), "name", retain_keys=True),
    ("core_v1.PodSpec", "topologySpreadConstraints"): ListRule(
        ("topologyKey", "whenUnsatisfiable"), "topologyKey"
    ),
    ("core_v1.Container", "ports"): ListRule(("containerPort", "protocol"), "containerPort"),
    ("core_v1.Container", "env"): NAME,
    ("core_v1.Container", "volumeMounts"): ListRule(("mountPath",), "mountPath"),
    ("core_v1.Container", "volumeDevices"): ListRule(("devicePath",), "devicePath"),
    ("core_v1.EphemeralContainer", "ports"): ListRule(("containerPort", "protocol"), "containerPort"),
    ("core_v1.EphemeralContainer", "env"): NAME,
    ("core_v1.EphemeralContainer", "volumeMounts"): ListRule(("mountPath",), "mountPath"),
    ("core_v1.EphemeralContainer", "volumeDevices"): ListRule(("devicePath",), "devicePath"),
    ("core_v1.ResourceRequirements", "claims"): ListRule(("name",)),
    ("core_v1.PodStatus", "conditions"): TYPE,
    ("core_v1.PodStatus", "podIPs"): ListRule(("ip",), "ip"),
    ("core_v1.ServiceSpec", "ports"): ListRule(("port", "protocol"), "port"),
    ("core_v1.ServiceStatus", "conditions"): TYPE,
    ("core_v1.ServiceAccount", "secrets"): NAME,
    ("core_v1.NamespaceStatus", "conditions"): TYPE,
    ("core_v1.NodeStatus", "addresses"): TYPE,
    ("core_v1.NodeStatus", "conditions"): TYPE,
    ("core_v1.NodeSpec", "podCIDRs"): SET,
    ("apps_v1.DeploymentStatus", "conditions"): TYPE,
    ("apps_v1.ReplicaSetStatus", "conditions"): TYPE,
    ("discovery_v1.Endpoint", "addresses"): SET,
}

# Structs that are replaced whole.
ATOMIC = frozenset(
    {
        "core_v1.ConfigMapKeySelector",
        "core_v1.SecretKeySelector",
        "core_v1.ObjectFieldSelector",
        "core_v1.ResourceFieldSelector",
        "core_v1.FileKeySelector",
        "core_v1.LocalObjectReference",
        "core_v1.ObjectReference",
        "core_v1.SecretReference",
        "core_v1.TypedLocalObjectReference",
        "core_v1.NodeSelector",
        "core_v1.NodeSelectorTerm",
        "meta_v1.LabelSelector",
        "meta_v1.OwnerReference",
        "networking_v1.IngressServiceBackend.port",
    }
)
# Maps that are replaced whole.
ATOMIC_MAPS = frozenset({("core_v1.PodSpec", "nodeSelector"), ("core_v1.ServiceSpec", "selector")})
# Structs whose strategic merge drops the keys that the patch's `$retainKeys` does not list.
RETAIN_KEYS = frozenset({("apps_v1.DeploymentSpec", "strategy")})
# What kubernetes fills in when an item is identified by a key that has a default.
KEY_DEFAULTS = {"protocol": "TCP"}
