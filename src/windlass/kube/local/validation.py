"""Whether an object obeys the rules of its kind. All that is wrong is reported at once, with field paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.local.causes import Causes
from windlass.kube.local.schema.fields import Shape, fields_of, shape_of
from windlass.kube.local.validation_pods import pod_spec, pod_update
from windlass.kube.selectors import matches_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.kube.local.kinds import Resource

Object = dict[str, Any]
ANNOTATIONS_LIMIT = 256 * 1024
DATA_LIMIT = 1024 * 1024
NAMES = {"namespaces": "label", "services": "service"}
# Names of these are used in paths only; RBAC-like names with colons are fine.
IMMUTABLE_META = ("uid", "creationTimestamp")


def _metadata(causes: Causes, resource: Resource, meta: Object) -> None:
    causes.name("metadata.name", meta.get("name"), kind=NAMES.get(resource.key, "subdomain"))
    if resource.namespaced and "namespace" in meta:
        causes.name("metadata.namespace", meta["namespace"], kind="label")
    causes.labels("metadata.labels", meta.get("labels"))
    annotations = meta.get("annotations") or {}
    for key in annotations:
        causes.key("metadata.annotations", key.lower(), key)
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        causes.add(
            "FieldValueTooLong",
            "metadata.annotations",
            f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes",
        )
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                causes.required(f"metadata.ownerReferences[{index}].{name}")


def _missing(causes: Causes, value: Any, shape: Shape, path: str) -> None:
    """Report required fields that are missing, anywhere below."""
    if shape.kind == "struct" and isinstance(value, dict):
        for name, below in fields_of(shape.type).items():
            inner = f"{path}.{name}" if path else name
            if name in value:
                _missing(causes, value[name], below, inner)
            elif below.required:
                causes.required(inner)
    elif shape.kind == "list" and shape.items is not None and shape.items.kind == "struct":
        for index, item in enumerate(value):
            _missing(causes, item, shape.items, f"{path}[{index}]")


def _selector(causes: Causes, spec: Object) -> None:
    selector = spec.get("selector") or {}
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.invalid("spec.selector", selector, "empty selector is invalid for deployment")
    elif not matches_labels(selector, labels):
        causes.invalid(
            "spec.template.metadata.labels", labels or {}, "`selector` does not match template `labels`"
        )


def _share(value: Any) -> tuple[bool, bool]:
    """Return whether an int-or-percent is well formed, and whether it is zero."""
    if isinstance(value, int):
        return value >= 0, value == 0
    number = str(value).removesuffix("%")
    return str(value).endswith("%") and number.isdigit(), number.strip("0") == ""


def _strategy(causes: Causes, spec: Object) -> None:
    strategy = spec.get("strategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in {"RollingUpdate", "Recreate"}:
        causes.unsupported("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))
    if kind == "Recreate" and rolling is not None:
        causes.forbidden(
            "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
        )
    if kind != "RollingUpdate" or rolling is None:
        return
    zero = []
    for name in ("maxUnavailable", "maxSurge"):
        good, none = _share(rolling.get(name))
        zero.append(none)
        if not good:
            causes.invalid(
                f"spec.strategy.rollingUpdate.{name}",
                rolling.get(name),
                "must be an integer or percentage (e.g '5%')",
            )
    if all(zero):
        causes.invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            rolling.get("maxUnavailable"),
            "may not be 0 when `maxSurge` is 0",
        )


def _template(causes: Causes, spec: Object) -> None:
    template = spec.get("template") or {}
    causes.labels("spec.template.metadata.labels", (template.get("metadata") or {}).get("labels"))
    pod_spec(causes, template.get("spec") or {}, "spec.template.spec")
    if (restart := (template.get("spec") or {}).get("restartPolicy")) not in {None, "Always"}:
        causes.unsupported("spec.template.spec.restartPolicy", restart, ("Always",))


def _replicaset(causes: Causes, new: Object, old: Object | None) -> None:
    spec = new["spec"]
    causes.non_negative("spec.replicas", spec.get("replicas"))
    causes.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _selector(causes, spec)
    _template(causes, spec)
    if old is not None and old["spec"].get("selector") != spec.get("selector"):
        causes.immutable("spec.selector", spec.get("selector"))


def _deployment(causes: Causes, new: Object, old: Object | None) -> None:
    _replicaset(causes, new, old)
    spec = new["spec"]
    _strategy(causes, spec)
    causes.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    causes.non_negative("spec.progressDeadlineSeconds", deadline)
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        causes.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _service(causes: Causes, new: Object, _old: Object | None) -> None:
    spec = new["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec.get("type") not in kinds:
        causes.unsupported("spec.type", spec.get("type"), kinds)
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        causes.required("spec.ports")
    names: set[str] = set()
    taken: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        causes.port(f"{path}.port", port.get("port"))
        causes.port(f"{path}.targetPort", port.get("targetPort"), named=True)
        if port.get("protocol") not in {"TCP", "UDP", "SCTP"}:
            causes.unsupported(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            causes.required(f"{path}.name")
        elif name in names:
            causes.duplicate(f"{path}.name", name)
        elif name:
            causes.name(f"{path}.name", name, kind="label")
        if (pair := (port.get("port"), port.get("protocol"))) in taken:
            causes.duplicate(path, port)
        names.add(name)
        taken.add(pair)
    causes.labels("spec.selector", spec.get("selector"))


def _pod(causes: Causes, new: Object, old: Object | None) -> None:
    pod_spec(causes, new["spec"], "spec")
    if old is not None:
        pod_update(causes, new["spec"], old["spec"])


def _data(causes: Causes, new: Object, old: Object | None) -> None:
    size = 0
    for part in ("data", "binaryData"):
        for key, value in (new.get(part) or {}).items():
            size += len(value)
            if (
                len(key) > 253
                or not all(char.isalnum() or char in "-_." for char in key)
                or key in {".", ".."}
            ):
                causes.invalid(
                    f"{part}[{key}]",
                    key,
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                )
    if size > DATA_LIMIT:
        causes.add("FieldValueTooLong", "data", f"Too long: may not be more than {DATA_LIMIT} bytes")
    if old is not None and old.get("immutable") and new.get("data") != old.get("data"):
        causes.forbidden("data", "field is immutable when `immutable` is set")


def _secret(causes: Causes, new: Object, old: Object | None) -> None:
    _data(causes, new, old)
    if old is not None and old.get("type") != new.get("type"):
        causes.immutable("type", new.get("type"))
    needed = {
        "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
        "kubernetes.io/tls": ["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth": ["ssh-privatekey"],
    }
    for key in needed.get(str(new.get("type")), ()):
        if key not in (new.get("data") or {}):
            causes.required(f"data[{key}]")


def _ingress(causes: Causes, new: Object, _old: Object | None) -> None:
    spec = new.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        causes.invalid("spec", {}, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or ()):
        for at, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            where = f"spec.rules[{index}].http.paths[{at}]"
            kinds = ("Exact", "ImplementationSpecific", "Prefix")
            if path.get("pathType") not in kinds:
                causes.unsupported(f"{where}.pathType", path.get("pathType"), kinds)
            if path.get("pathType") != "ImplementationSpecific" and not str(path.get("path", "")).startswith(
                "/"
            ):
                causes.invalid(f"{where}.path", path.get("path", ""), "must be an absolute path")


def _application(causes: Causes, new: Object, _old: Object | None) -> None:
    spec = new.get("spec") or {}
    if "source" not in spec and not spec.get("sources") and "sourceHydrator" not in spec:
        causes.required("spec.source")


RULES: dict[str, Callable[[Causes, Object, Object | None], None]] = {
    "pods": _pod,
    "replicasets.apps": _replicaset,
    "deployments.apps": _deployment,
    "services": _service,
    "configmaps": _data,
    "secrets": _secret,
    "ingresses.networking.k8s.io": _ingress,
    "applications.argoproj.io": _application,
}


def validate(resource: Resource, new: Object, old: Object | None = None) -> None:
    """Raise InvalidError with every cause, if the object (or its change from `old`) breaks a rule."""
    causes = Causes()
    meta = new["metadata"]
    _metadata(causes, resource, meta)
    if old is not None:
        for name in IMMUTABLE_META:
            if meta.get(name) != old["metadata"].get(name):
                causes.immutable(f"metadata.{name}", meta.get(name))
    spec_only = {key: value for key, value in new.items() if key not in {"metadata", "status"}}
    _missing(causes, {**spec_only, "metadata": {}}, shape_of(resource.type), "")
    if not causes.found and (rule := RULES.get(resource.key)):
        rule(causes, new, old)
    causes.raise_for(resource, str(meta.get("name", "")))
