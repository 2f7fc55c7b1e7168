"""The resources that the embedded API serves, and how each behaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from windlass.kube.errors import NotFoundError

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. `status`: has a status subresource, so that writes to the object leave its status alone.

    `type` names its fields in `schema`; `merges`: whether its clients know strategic merge (built-in kinds do).
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    scale: bool = False
    type: str = ""
    merges: bool = True

    @property
    def key(self) -> str:
        """`plural[.group]`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`[group/]version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The name of one, as the field `singularName` has it."""
        return self.kind.lower()


APPS, ARGO = "apps", "argoproj.io"
ALL = ("all",)
RESOURCES = (
    Resource(
        "namespaces", "Namespace", short=("ns",), namespaced=False, status=True, type="core_v1.Namespace"
    ),
    Resource("nodes", "Node", short=("no",), namespaced=False, status=True, type="core_v1.Node"),
    Resource("configmaps", "ConfigMap", short=("cm",), type="core_v1.ConfigMap"),
    Resource("secrets", "Secret", type="core_v1.Secret"),
    Resource("services", "Service", short=("svc",), categories=ALL, status=True, type="core_v1.Service"),
    Resource("endpoints", "Endpoints", short=("ep",), type="core_v1.Endpoints"),
    Resource("pods", "Pod", short=("po",), categories=ALL, status=True, type="core_v1.Pod"),
    Resource("events", "Event", short=("ev",), type="core_v1.Event"),
    Resource("serviceaccounts", "ServiceAccount", short=("sa",), type="core_v1.ServiceAccount"),
    Resource(
        "deployments",
        "Deployment",
        APPS,
        short=("deploy",),
        categories=ALL,
        status=True,
        scale=True,
        type="apps_v1.Deployment",
    ),
    Resource(
        "replicasets",
        "ReplicaSet",
        APPS,
        short=("rs",),
        categories=ALL,
        status=True,
        scale=True,
        type="apps_v1.ReplicaSet",
    ),
    Resource(
        "ingresses",
        "Ingress",
        "networking.k8s.io",
        short=("ing",),
        status=True,
        type="networking_v1.Ingress",
    ),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io", type="discovery_v1.EndpointSlice"),
    Resource("leases", "Lease", "coordination.k8s.io", type="coordination_v1.Lease"),
    Resource(
        "applications",
        "Application",
        ARGO,
        version="v1alpha1",
        short=("app", "apps"),
        type="argo.Application",
        merges=False,
    ),
    Resource(
        "appprojects",
        "AppProject",
        ARGO,
        version="v1alpha1",
        short=("appproj", "appprojs"),
        type="argo.AppProject",
        merges=False,
    ),
)
# The same events under their newer name: stored as core/v1, translated by the API (`api.events`).
NEW_EVENTS = Resource("events", "Event", "events.k8s.io", short=("ev",), type="events_v1.Event")


@cache
def _by_key() -> dict[str, Resource]:
    return {resource.key: resource for resource in RESOURCES}


def resource_of(key: str) -> Resource:
    """Return the resource named `plural[.group]`, or raise NotFoundError."""
    try:
        return _by_key()[key]
    except KeyError:
        known = ", ".join(sorted(_by_key()))
        raise NotFoundError(f'the server has no resource "{key}"; it serves {known}') from None


@cache
def resource_for(api_version: str, kind: str) -> Resource:
    """Return the resource whose objects bear this apiVersion and kind, or raise NotFoundError."""
    for resource in RESOURCES:
        if (resource.api_version, resource.kind) == (api_version, kind):
            return resource
    raise NotFoundError(f'no matches for kind "{kind}" in version "{api_version}"')
