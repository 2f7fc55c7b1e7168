"""The order in which objects are applied: phases, sync waves, kinds, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.manifests.objects import Object, annotations_of, identify

if TYPE_CHECKING:
    from collections.abc import Iterable

WAVE = "argocd.argoproj.io/sync-wave"
# Argo CD's order of kinds; what is not listed comes after all of them.
KINDS = (
    *("Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy"),
    *("PodDisruptionBudget", "ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass"),
    *("PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole"),
    *("ClusterRoleList", "ClusterRoleBinding", "ClusterRoleBindingList", "Role", "RoleList"),
    *("RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod", "ReplicationController"),
    *("ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob"),
    *("IngressClass", "Ingress", "APIService"),
)
RANK = {kind: number for number, kind in enumerate(KINDS)}
# kustomize's `legacy` sort order: first these, last those, everything else between.
FIRST = (
    *("Namespace", "ResourceQuota", "StorageClass", "CustomResourceDefinition", "ServiceAccount"),
    *("PodSecurityPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ConfigMap"),
    *("Secret", "Endpoints", "Service", "LimitRange", "PriorityClass", "PersistentVolume"),
    *("PersistentVolumeClaim", "Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget"),
)
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def wave(item: Object) -> int:
    """Return the object's sync wave; 0 where it names none or not a number."""
    try:
        return int(annotations_of(item).get(WAVE, "0"))
    except ValueError:
        return 0


def apply_order(items: Iterable[Object]) -> list[Object]:
    """Sort for applying; prune in reverse. Custom resources come after their definitions."""

    def key(item: Object) -> tuple[int, int, str, str]:
        found = identify(item)
        return (wave(item), RANK.get(found.kind, len(KINDS)), found.namespace, found.name)

    return sorted(items, key=key)


def legacy(items: Iterable[Object]) -> list[Object]:
    """Sort as `kustomize build` prints by default."""
    order = {kind: number - len(FIRST) for number, kind in enumerate(FIRST)}
    order |= {kind: number + 1 for number, kind in enumerate(LAST)}

    def key(item: Object) -> tuple[int, str, str, str, str]:
        found = identify(item)
        rank = order.get(found.kind, 0)
        kind = "" if rank else found.kind
        group = f"{found.group}~{item.get('apiVersion')}~{kind}"
        return (rank, group, found.kind, found.namespace, found.name)

    return sorted(items, key=key)
