"""The labels, annotations and conditions by which objects say whose they are and how they are driven. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.manifests import annotations_of, identify

if TYPE_CHECKING:
    from windlass.manifests import Id, Object

TRACKING = "argocd.argoproj.io/tracking-id"
REFRESH = "argocd.argoproj.io/refresh"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
HOOK = "argocd.argoproj.io/hook"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
TRAFFIC = "windlass.dev/traffic"
TEMPLATE = "windlass.dev/template"
APPLICATION = "windlass.dev/application"
APPLIED = "windlass.dev/applied"
MIN_READY = "windlass.dev/manifest-min-ready-seconds"
DEADLINE = "windlass.dev/manifest-progress-deadline-seconds"
VERIFY = "windlass.dev/verify"
ADDRESS = "windlass.dev/address"
ADOPTED = "windlass.dev/adopted-from"
MANAGER = "windlass"
ARGO = "argoproj.io/v1alpha1"
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "CronJob"})


def instance(namespace: str, name: str, control: str) -> str:
    """Return the name under which Argo CD tracks an Application."""
    return name if namespace == control else f"{namespace}_{name}"


def tracking_id(app: str, item: Id) -> str:
    """Return the value of the tracking annotation: `APP:GROUP/KIND:NAMESPACE/NAME`."""
    return f"{app}:{item.group}/{item.kind}:{item.namespace}/{item.name}"


def tracked_by(item: Object) -> str | None:
    """Return the Application that tracks this object; None for nobody, and for a copied annotation."""
    value = annotations_of(item).get(TRACKING, "")
    app, colon, rest = value.partition(":")
    if not colon:
        return None
    found = identify(item)
    space = found.namespace
    known = {f"{found.group}/{found.kind}:{space}/{found.name}"}
    if not space:  # Argo CD writes the destination's namespace for objects without one
        group_kind, _, name = rest.partition(":")
        if group_kind == f"{found.group}/{found.kind}" and name.rpartition("/")[2] == found.name:
            return app
    return app if rest in known else None


def workload_key(item: Object) -> str:
    """Return `KIND/NAMESPACE/NAME`."""
    found = identify(item)
    return f"{found.kind}/{found.namespace}/{found.name}"


def option(item: Object, name: str, key: str = SYNC_OPTIONS) -> bool:
    """Whether an option (`Prune=false`) is set in the object's annotation."""
    return name in [each.strip() for each in annotations_of(item).get(key, "").split(",")]
