"""The rules of a pod's spec, in a pod and in a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.kube.local.causes import ENV_NAME, QUANTITY, QUANTITY_RULE

if TYPE_CHECKING:
    from windlass.kube.local.causes import Causes

Object = dict[str, Any]
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod_spec(causes: Causes, spec: Object, path: str) -> None:
    """Check a pod's spec."""
    if not spec.get("containers"):
        causes.required(f"{path}.containers")
    volumes = _volumes(causes, spec, path)
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            where = f"{path}.{group}[{index}]"
            if container.get("name") in names:
                causes.duplicate(f"{where}.name", container["name"])
            names.add(str(container.get("name")))
            _container(causes, container, where, volumes)
    if spec.get("restartPolicy") not in {None, "Always", "OnFailure", "Never"}:
        causes.unsupported(f"{path}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never"))
    causes.non_negative(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"))
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        causes.key(f"{path}.readinessGates[{index}].conditionType", str(gate.get("conditionType", "")), gate)


def _volumes(causes: Causes, spec: Object, path: str) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        name = str(volume.get("name", ""))
        causes.name(f"{path}.volumes[{index}].name", name, kind="label")
        if name in names:
            causes.duplicate(f"{path}.volumes[{index}].name", name)
        names.add(name)
        if len(volume) > 2:
            causes.forbidden(f"{path}.volumes[{index}]", "may not specify more than 1 volume type")
    return names


def _container(causes: Causes, container: Object, path: str, volumes: set[str]) -> None:
    causes.name(f"{path}.name", container.get("name"), kind="label")
    if not container.get("image"):
        causes.required(f"{path}.image")
    elif container["image"] != container["image"].strip():
        causes.invalid(f"{path}.image", container["image"], "must not have leading or trailing whitespace")
    policies = ("Always", "IfNotPresent", "Never")
    if container.get("imagePullPolicy") not in {None, *policies}:
        causes.unsupported(f"{path}.imagePullPolicy", container["imagePullPolicy"], policies)
    _ports(causes, container, path)
    for index, env in enumerate(container.get("env") or ()):
        if not ENV_NAME.fullmatch(str(env.get("name", ""))):
            causes.invalid(
                f"{path}.env[{index}].name",
                env.get("name", ""),
                "a valid environment variable name has no '=' in it",
            )
        if env.get("value") and env.get("valueFrom"):
            causes.invalid(
                f"{path}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty"
            )
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            causes.add(
                "FieldValueNotFound",
                f"{path}.volumeMounts[{index}].name",
                f'Not found: "{mount.get("name")}"',
            )
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        _probe(causes, container.get(probe), f"{path}.{probe}", probe)
    _resources(causes, container.get("resources") or {}, f"{path}.resources")


def _ports(causes: Causes, container: Object, path: str) -> None:
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or ()):
        where = f"{path}.ports[{index}]"
        causes.port(f"{where}.containerPort", port.get("containerPort"))
        if name := port.get("name"):
            causes.port(f"{where}.name", name, named=True)
            if name in names:
                causes.duplicate(f"{where}.name", name)
            names.add(name)


def _probe(causes: Causes, probe: Object | None, path: str, which: str) -> None:
    if probe is None:
        return
    handlers = [name for name in HANDLERS if probe.get(name) is not None]
    if not handlers:
        causes.required(path, "must specify a handler type")
    elif len(handlers) > 1:
        causes.forbidden(f"{path}.{handlers[1]}", "may not specify more than 1 handler type")
    elif handlers[0] in {"httpGet", "tcpSocket"}:
        causes.port(f"{path}.{handlers[0]}.port", probe[handlers[0]].get("port"), named=True)
    for name in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        causes.non_negative(f"{path}.{name}", probe.get(name))
    if which != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        causes.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _resources(causes: Causes, resources: Object, path: str) -> None:
    for part in ("limits", "requests"):
        for name, quantity in (resources.get(part) or {}).items():
            if not QUANTITY.fullmatch(quantity):
                causes.invalid(f"{path}.{part}.{name}", quantity, QUANTITY_RULE)
            elif quantity.startswith("-"):
                causes.invalid(f"{path}.{part}.{name}", quantity, "must be greater than or equal to 0")


def _comparable(spec: Object) -> Object:
    """Return the spec without what may change after creation."""
    rest = {
        key: value
        for key, value in spec.items()
        if key not in {"activeDeadlineSeconds", "tolerations", "nodeName"}
    }
    for group in ("containers", "initContainers"):
        if group in rest:
            rest[group] = [
                {key: value for key, value in container.items() if key != "image"}
                for container in rest[group]
            ]
    return rest


def pod_update(causes: Causes, new: Object, old: Object) -> None:
    """Check what a change of a pod changes; a pod is bound to its node once (`spec.nodeName`)."""
    if _comparable(new) != _comparable(old):
        causes.forbidden("spec", POD_UPDATE)
    if old.get("nodeName") and new.get("nodeName") != old["nodeName"]:
        causes.forbidden("spec.nodeName", "a pod that is bound stays on its node")
