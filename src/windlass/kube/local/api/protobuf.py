"""Kubernetes' protobuf bodies, for the kinds that kubectl sends so (`create configmap|secret|deployment|...`).

Only decoding, by tables of field numbers (from the `generated.proto` files). A field that the tables do not have is
refused rather than lost. Go writes empty values of plain fields: they are dropped, those of pointers (`?`) kept.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from windlass.kube.errors import BadRequestError, UnsupportedMediaTypeError

MAGIC = b"k8s\x00"
DEPTH = 40
Object = dict[str, Any]

# Type of message: field number to "name:type". Types: str, int, bool, bytes, time, quantity, intstr, skip, a message;
# [T] repeated, {T} a map, T? a pointer, and =T a message whose fields stand in its parent.
MESSAGES: dict[str, dict[int, str]] = {
    "Unknown": {1: "typeMeta:TypeMeta", 2: "raw:bytes", 3: "contentEncoding:str", 4: "contentType:str"},
    "TypeMeta": {1: "apiVersion:str", 2: "kind:str"},
    "ObjectMeta": {
        1: "name:str",
        2: "generateName:str",
        3: "namespace:str",
        4: "selfLink:str",
        5: "uid:str",
        6: "resourceVersion:str",
        7: "generation:int",
        8: "creationTimestamp:time",
        9: "deletionTimestamp:time",
        10: "deletionGracePeriodSeconds:int?",
        11: "labels:{str}",
        12: "annotations:{str}",
        13: "ownerReferences:[OwnerReference]",
        14: "finalizers:[str]",
        17: "managedFields:skip",
    },
    "OwnerReference": {
        1: "kind:str",
        3: "name:str",
        4: "uid:str",
        5: "apiVersion:str",
        6: "controller:bool?",
        7: "blockOwnerDeletion:bool?",
    },
    "Namespace": {1: "metadata:ObjectMeta", 2: "spec:NamespaceSpec", 3: "status:skip"},
    "NamespaceSpec": {1: "finalizers:[str]"},
    "ConfigMap": {1: "metadata:ObjectMeta", 2: "data:{str}", 3: "binaryData:{bytes}", 4: "immutable:bool?"},
    "Secret": {
        1: "metadata:ObjectMeta",
        2: "data:{bytes}",
        3: "type:str",
        4: "stringData:{str}",
        5: "immutable:bool?",
    },
    "ServiceAccount": {
        1: "metadata:ObjectMeta",
        2: "secrets:[LocalObjectReference]",
        3: "imagePullSecrets:[LocalObjectReference]",
        4: "automountServiceAccountToken:bool?",
    },
    "LocalObjectReference": {1: "name:str"},
    "Deployment": {1: "metadata:ObjectMeta", 2: "spec:DeploymentSpec", 3: "status:skip"},
    "DeploymentSpec": {
        1: "replicas:int?",
        2: "selector:LabelSelector?",
        3: "template:PodTemplateSpec",
        4: "strategy:DeploymentStrategy",
        5: "minReadySeconds:int",
        6: "revisionHistoryLimit:int?",
        7: "paused:bool",
        9: "progressDeadlineSeconds:int?",
    },
    "DeploymentStrategy": {1: "type:str", 2: "rollingUpdate:RollingUpdate?"},
    "RollingUpdate": {1: "maxUnavailable:intstr", 2: "maxSurge:intstr"},
    "LabelSelector": {1: "matchLabels:{str}", 2: "matchExpressions:[Requirement]"},
    "Requirement": {1: "key:str", 2: "operator:str", 3: "values:[str]"},
    "PodTemplateSpec": {1: "metadata:ObjectMeta", 2: "spec:PodSpec"},
    "PodSpec": {
        2: "containers:[Container]",
        3: "restartPolicy:str",
        4: "terminationGracePeriodSeconds:int?",
        5: "activeDeadlineSeconds:int?",
        6: "dnsPolicy:str",
        7: "nodeSelector:{str}",
        8: "serviceAccountName:str",
        9: "serviceAccount:str",
        10: "nodeName:str",
        11: "hostNetwork:bool",
        12: "hostPID:bool",
        13: "hostIPC:bool",
        14: "securityContext:PodSecurityContext?",
        15: "imagePullSecrets:[LocalObjectReference]",
        16: "hostname:str",
        17: "subdomain:str",
        19: "schedulerName:str",
        20: "initContainers:[Container]",
        21: "automountServiceAccountToken:bool?",
        24: "priorityClassName:str",
    },
    "PodSecurityContext": {},
    "Container": {
        1: "name:str",
        2: "image:str",
        3: "command:[str]",
        4: "args:[str]",
        5: "workingDir:str",
        6: "ports:[ContainerPort]",
        7: "env:[EnvVar]",
        8: "resources:ResourceRequirements",
        13: "terminationMessagePath:str",
        14: "imagePullPolicy:str",
        16: "stdin:bool",
        17: "stdinOnce:bool",
        18: "tty:bool",
        20: "terminationMessagePolicy:str",
    },
    "ContainerPort": {
        1: "name:str",
        2: "hostPort:int",
        3: "containerPort:int",
        4: "protocol:str",
        5: "hostIP:str",
    },
    "EnvVar": {1: "name:str", 2: "value:str"},
    "ResourceRequirements": {1: "limits:{quantity}", 2: "requests:{quantity}"},
    "Service": {1: "metadata:ObjectMeta", 2: "spec:ServiceSpec", 3: "status:skip"},
    "ServiceSpec": {
        1: "ports:[ServicePort]",
        2: "selector:{str}",
        3: "clusterIP:str",
        4: "type:str",
        5: "externalIPs:[str]",
        7: "sessionAffinity:str",
        8: "loadBalancerIP:str",
        9: "loadBalancerSourceRanges:[str]",
        10: "externalName:str",
        11: "externalTrafficPolicy:str",
        12: "healthCheckNodePort:int",
        13: "publishNotReadyAddresses:bool",
    },
    "ServicePort": {
        1: "name:str",
        2: "protocol:str",
        3: "port:int",
        4: "targetPort:intstr",
        5: "nodePort:int",
        6: "appProtocol:str?",
    },
    "Ingress": {1: "metadata:ObjectMeta", 2: "spec:IngressSpec", 3: "status:skip"},
    "IngressSpec": {
        1: "defaultBackend:IngressBackend?",
        2: "tls:[IngressTLS]",
        3: "rules:[IngressRule]",
        4: "ingressClassName:str?",
    },
    "IngressTLS": {1: "hosts:[str]", 2: "secretName:str"},
    "IngressRule": {1: "host:str", 2: "ingressRuleValue:=IngressRuleValue"},
    "IngressRuleValue": {1: "http:IngressHTTP?"},
    "IngressHTTP": {1: "paths:[IngressPath]"},
    "IngressPath": {1: "path:str", 2: "backend:IngressBackend", 3: "pathType:str?"},
    "IngressBackend": {4: "service:IngressService?"},
    "IngressService": {1: "name:str", 2: "port:IngressPort"},
    "IngressPort": {1: "name:str", 2: "number:int"},
    "Scale": {1: "metadata:ObjectMeta", 2: "spec:ScaleSpec", 3: "status:skip"},
    "ScaleSpec": {1: "replicas:int?"},
    "DeleteOptions": {
        1: "gracePeriodSeconds:int?",
        2: "preconditions:Preconditions?",
        3: "orphanDependents:bool?",
        4: "propagationPolicy:str?",
        5: "dryRun:[str]",
    },
    "Preconditions": {1: "uid:str?", 2: "resourceVersion:str?"},
    "Eviction": {1: "metadata:ObjectMeta", 2: "deleteOptions:DeleteOptions?"},
    "SelfSubjectAccessReview": {1: "metadata:ObjectMeta", 2: "spec:AccessSpec", 3: "status:skip"},
    "AccessSpec": {1: "resourceAttributes:ResourceAttributes?", 2: "nonResourceAttributes:NonResource?"},
    "ResourceAttributes": {
        1: "namespace:str",
        2: "verb:str",
        3: "group:str",
        4: "version:str",
        5: "resource:str",
        6: "subresource:str",
        7: "name:str",
    },
    "NonResource": {1: "path:str", 2: "verb:str"},
    "SelfSubjectRulesReview": {1: "metadata:ObjectMeta", 2: "spec:RulesSpec", 3: "status:skip"},
    "RulesSpec": {1: "namespace:str"},
    "SelfSubjectReview": {1: "metadata:ObjectMeta", 2: "status:skip"},
    "IntOrString": {1: "type:int", 2: "intVal:int", 3: "strVal:str"},
    "Quantity": {1: "string:str"},
    "Time": {1: "seconds:int", 2: "nanos:int"},
}
TOP = frozenset(
    {
        "ConfigMap",
        "DeleteOptions",
        "Deployment",
        "Eviction",
        "Ingress",
        "Namespace",
        "Scale",
        "Secret",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "Service",
        "ServiceAccount",
    }
)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise BadRequestError("protobuf: the body is cut short or malformed")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Split a message into its fields: number, and an integer or bytes."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                found.append((tag >> 3, value))
            case 2:
                length, at = _varint(data, at)
                if at + length > len(data):
                    raise BadRequestError("protobuf: the body is cut short")
                found.append((tag >> 3, data[at : at + length]))
                at += length
            case wire:
                raise BadRequestError(f"protobuf: wire type {wire} is not used by Kubernetes")
    return found


def _scalar(kind: str, value: int | bytes, depth: int) -> Any:
    if isinstance(value, int):
        if kind == "bool":
            return bool(value)
        if kind == "int":
            return value - (1 << 64) if value >> 63 else value
        raise BadRequestError(f"protobuf: a number stands where {kind} is expected")
    if kind == "str":
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRequestError("protobuf: a string is not UTF-8") from None
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return _special(kind, value, depth)


def _special(kind: str, value: bytes, depth: int) -> Any:
    match kind:
        case "quantity":
            return message("Quantity", value, depth).get("string", "0")
        case "intstr":
            found = message("IntOrString", value, depth)
            return found.get("strVal", "") if found.get("type") else found.get("intVal", 0)
        case "time":
            seconds = message("Time", value, depth).get("seconds")
            return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
        case _:
            return message(kind, value, depth)


def _entry(kind: str, value: int | bytes, depth: int) -> tuple[str, Any]:
    if not isinstance(value, bytes):
        raise BadRequestError("protobuf: a map's entry is a message")
    key, item = "", "" if kind in {"str", "bytes"} else None
    for number, part in _fields(value):
        if number == 1:
            key = _scalar("str", part, depth)
        elif number == 2:
            item = _scalar(kind, part, depth)
    return key, item


def message(name: str, data: bytes, depth: int = 0) -> Object:
    """Decode one message by its table."""
    if depth > DEPTH:
        raise BadRequestError("protobuf: the body is nested too deep")
    table = MESSAGES[name]
    out: Object = {}
    for number, value in _fields(data):
        if number not in table:
            if not value:
                continue
            raise UnsupportedMediaTypeError(
                f"protobuf: field {number} of {name} is not decoded here: send the object as JSON (kubectl apply -f)"
            )
        field, _, kind = table[number].partition(":")
        _put(out, field, kind, value, depth + 1)
    return out


def _put(out: Object, field: str, kind: str, value: int | bytes, depth: int) -> None:
    if kind == "skip":
        return
    if kind.startswith("["):
        out.setdefault(field, []).append(_scalar(kind[1:-1], value, depth))
    elif kind.startswith("{"):
        key, item = _entry(kind[1:-1], value, depth)
        out.setdefault(field, {})[key] = item
    elif kind.startswith("="):
        out.update(_scalar(kind[1:], value, depth))
    else:
        decoded = _scalar(kind.removesuffix("?"), value, depth)
        if kind.endswith("?") or decoded not in ("", 0, False, None, {}):
            out[field] = decoded


def decode_object(body: bytes) -> Object:
    """Decode a request body in Kubernetes' protobuf envelope into the object that JSON would have been."""
    if not body.startswith(MAGIC):
        raise BadRequestError("protobuf: the body does not begin with the Kubernetes envelope")
    unknown = {number: value for number, value in _fields(body[len(MAGIC) :]) if isinstance(value, bytes)}
    head = message("TypeMeta", unknown.get(1, b""))
    if (kind := head.get("kind", "")) not in TOP:
        raise UnsupportedMediaTypeError(f"protobuf bodies of kind {kind!r} are not decoded here: send JSON")
    return {**head, **message(kind, unknown.get(2, b""))}
