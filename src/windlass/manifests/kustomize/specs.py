"""Which fields of which kinds the transformers touch: kustomize's default configuration, and additions to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from windlass.manifests.kustomize.resource import Name, split_path

POD_PATHS = {
    "Pod": "spec",
    "PodTemplate": "template/spec",
    "ReplicationController": "spec/template/spec",
    "Deployment": "spec/template/spec",
    "ReplicaSet": "spec/template/spec",
    "DaemonSet": "spec/template/spec",
    "StatefulSet": "spec/template/spec",
    "Job": "spec/template/spec",
    "CronJob": "spec/jobTemplate/spec/template/spec",
}
SELECTED = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a kind; None stands for any kind, group or version."""

    path: tuple[str, ...]
    kind: str | None = None
    group: str | None = None
    version: str | None = None
    create: bool = False

    def fits(self, name: Name) -> bool:
        """Whether resources of this id have the field."""
        return (
            self.kind in (None, name.kind)
            and self.group in (None, name.group)
            and self.version in (None, name.version)
        )


def spec(path: str, kind: str | None = None, group: str | None = None, *, create: bool = False) -> Field:
    """Make a `Field` out of its path with slashes."""
    return Field(tuple(split_path(path)), kind, group, None, create)


def from_yaml(entry: dict[str, Any]) -> Field:
    """Read a field specification of a `configurations:` file or of `labels[].fields`."""
    return Field(
        tuple(split_path(str(entry.get("path", "")))),
        entry.get("kind") or None,
        entry.get("group") or None,
        entry.get("version") or None,
        bool(entry.get("create", False)),
    )


METADATA_LABELS = [spec("metadata/labels", create=True)]


def _selectors() -> list[Field]:
    term = "podAffinityTerm/labelSelector/matchLabels"
    fields = [
        spec("spec/selector", "Service", "", create=True),
        spec("spec/selector", "ReplicationController", "", create=True),
    ]
    for kind in SELECTED:
        fields.append(spec("spec/selector/matchLabels", kind, create=True))
        for affinity in ("podAffinity", "podAntiAffinity"):
            base = f"spec/template/spec/affinity/{affinity}"
            fields.append(spec(f"{base}/preferredDuringSchedulingIgnoredDuringExecution/{term}", kind))
            fields.append(
                spec(f"{base}/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels", kind)
            )
        fields.append(spec("spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels", kind))
    fields.append(spec("spec/volumeClaimTemplates[]/metadata/labels", "StatefulSet", create=True))
    fields.append(spec("spec/selector/matchLabels", "Job", "batch"))
    fields.append(spec("spec/jobTemplate/spec/selector/matchLabels", "CronJob", "batch"))
    fields.append(spec("spec/selector/matchLabels", "PodDisruptionBudget", "policy"))
    fields.extend(
        spec(f"spec/{path}/matchLabels", "NetworkPolicy", "networking.k8s.io")
        for path in ("podSelector", "ingress/from/podSelector", "egress/to/podSelector")
    )
    return fields


def _templates(what: str) -> list[Field]:
    kinds = ("ReplicationController", *SELECTED, "Job")
    fields = [spec(f"spec/template/metadata/{what}", kind, create=True) for kind in kinds]
    fields.append(spec(f"spec/jobTemplate/metadata/{what}", "CronJob", "batch", create=True))
    fields.append(spec(f"spec/jobTemplate/spec/template/metadata/{what}", "CronJob", "batch", create=True))
    return fields


TEMPLATE_LABELS = _templates("labels")
SELECTOR_LABELS = _selectors()
COMMON_LABELS = METADATA_LABELS + TEMPLATE_LABELS + SELECTOR_LABELS
COMMON_ANNOTATIONS = [spec("metadata/annotations", create=True), *_templates("annotations")]
REPLICAS = [
    spec("spec/replicas", kind, create=True)
    for kind in ("Deployment", "ReplicationController", "ReplicaSet", "StatefulSet")
]


@dataclass(frozen=True, slots=True)
class Reference:
    """Fields that hold the name of a resource of `kind`."""

    kind: str
    group: str | None
    version: str | None
    fields: tuple[Field, ...]


def _in_pods(*paths: str) -> list[Field]:
    return [spec(f"{base}/{path}", kind) for kind, base in POD_PATHS.items() for path in paths]


def _env(kind: str) -> list[str]:
    return [
        f"{container}/{path}"
        for container in ("containers", "initContainers", "ephemeralContainers")
        for path in (f"env/valueFrom/{kind}KeyRef/name", f"envFrom/{kind}Ref/name")
    ]


def _backends() -> list[Field]:
    return [
        spec(f"spec/{path}", "Ingress")
        for path in (
            "rules/http/paths/backend/serviceName",
            "backend/serviceName",
            "rules/http/paths/backend/service/name",
            "defaultBackend/service/name",
        )
    ]


def _webhooks() -> list[Field]:
    return [
        spec("webhooks/clientConfig/service", kind)
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    ]


def references() -> list[Reference]:
    """Return the default table of name references."""

    def row(kind: str, group: str | None, fields: list[Field]) -> Reference:
        return Reference(kind, group, None, tuple(fields))

    scaled = [spec("spec/scaleTargetRef/name", "HorizontalPodAutoscaler")]
    secret_volumes = _in_pods(
        "volumes/secret/secretName",
        "volumes/projected/sources/secret/name",
        *_env("secret"),
        "imagePullSecrets/name",
        *(f"volumes/{driver}/secretRef/name" for driver in ("cephfs", "rbd", "storageos", "scaleIO")),
        "volumes/csi/nodePublishSecretRef/name",
    )
    return [
        *(row(kind, None, scaled) for kind in ("Deployment", "ReplicationController", "ReplicaSet")),
        row("StatefulSet", None, scaled),
        row(
            "ConfigMap",
            "",
            [
                *_in_pods(
                    "volumes/configMap/name", "volumes/projected/sources/configMap/name", *_env("configMap")
                ),
                spec("spec/configSource/configMap", "Node"),
                spec("rules/resourceNames", "Role"),
                spec("rules/resourceNames", "ClusterRole"),
                spec(
                    "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap", "Ingress"
                ),
            ],
        ),
        row(
            "Secret",
            "",
            [
                *secret_volumes,
                spec("spec/tls/secretName", "Ingress"),
                *(
                    spec(f"metadata/annotations/{prefix}.kubernetes.io\\/auth-{what}", "Ingress")
                    for prefix in ("ingress", "nginx.ingress")
                    for what in ("secret", "tls-secret")
                ),
                spec("imagePullSecrets/name", "ServiceAccount"),
                spec("secrets/name", "ServiceAccount"),
                spec("parameters/secretName", "StorageClass"),
                spec("parameters/adminSecretName", "StorageClass"),
                spec("parameters/userSecretName", "StorageClass"),
                spec("rules/resourceNames", "Role"),
                spec("rules/resourceNames", "ClusterRole"),
            ],
        ),
        row(
            "Service",
            "",
            [
                spec("spec/serviceName", "StatefulSet"),
                *_backends(),
                spec("spec/service/name", "APIService"),
                *_webhooks(),
                spec("spec/conversion/webhook/clientConfig/service", "CustomResourceDefinition"),
            ],
        ),
        row("Role", "rbac.authorization.k8s.io", [spec("roleRef/name", "RoleBinding")]),
        row(
            "ClusterRole",
            "rbac.authorization.k8s.io",
            [spec("roleRef/name", "RoleBinding"), spec("roleRef/name", "ClusterRoleBinding")],
        ),
        row(
            "ServiceAccount",
            "",
            [
                spec("subjects", "RoleBinding"),
                spec("subjects", "ClusterRoleBinding"),
                *_in_pods("serviceAccountName"),
            ],
        ),
        row("PersistentVolumeClaim", "", _in_pods("volumes/persistentVolumeClaim/claimName")),
        row(
            "PersistentVolume",
            "",
            [
                spec("spec/volumeName", "PersistentVolumeClaim"),
                spec("rules/resourceNames", "ClusterRole"),
            ],
        ),
        row(
            "StorageClass",
            "storage.k8s.io",
            [
                spec("spec/storageClassName", "PersistentVolume"),
                spec("spec/storageClassName", "PersistentVolumeClaim"),
                spec("spec/volumeClaimTemplates/spec/storageClassName", "StatefulSet"),
            ],
        ),
        row("PriorityClass", "scheduling.k8s.io", _in_pods("priorityClassName")),
        row("IngressClass", "networking.k8s.io", [spec("spec/ingressClassName", "Ingress")]),
        row(
            "ValidatingAdmissionPolicy",
            "admissionregistration.k8s.io",
            [spec("spec/policyName", "ValidatingAdmissionPolicyBinding")],
        ),
    ]


@dataclass(slots=True)
class Configuration:
    """What `configurations:` files add to the defaults."""

    references: list[Reference] = field(default_factory=list)
    images: list[Field] = field(default_factory=list)
    labels: list[Field] = field(default_factory=list)
    annotations: list[Field] = field(default_factory=list)
    names: list[Field] = field(default_factory=list)
    namespaces: list[Field] = field(default_factory=list)
    replicas: list[Field] = field(default_factory=list)
    variables: list[Field] = field(default_factory=list)

    def add(self, document: dict[str, Any]) -> None:
        """Add one file's entries."""
        lists = {
            "images": self.images,
            "commonLabels": self.labels,
            "labels": self.labels,
            "commonAnnotations": self.annotations,
            "namePrefix": self.names,
            "nameSuffix": self.names,
            "namespace": self.namespaces,
            "replicas": self.replicas,
            "varReference": self.variables,
        }
        for key, fields in lists.items():
            fields.extend(from_yaml(entry) for entry in document.get(key) or [])
        for entry in document.get("nameReference") or []:
            named = tuple(from_yaml(each) for each in entry.get("fieldSpecs") or [])
            self.references.append(
                Reference(
                    str(entry.get("kind", "")),
                    entry.get("group") or None,
                    entry.get("version") or None,
                    named,
                )
            )
