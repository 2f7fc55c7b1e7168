"""The same folders built by `kubectl kustomize` and by us; the output must be the same text."""

# ruff: noqa: E501 manifests read better unbroken

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("modern_kubectl"),
]
BASE = {
    "base/kustomization.yaml": "resources: [all.yaml]\nconfigMapGenerator: [{name: settings, literals: [A=1]}]\n",
    "base/all.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: runner
      initContainers: [{name: init, image: "ghcr.io/acme/init:1"}]
      containers:
      - name: web
        image: ghcr.io/acme/web:v1
        ports: [{containerPort: 80}, {containerPort: 81, protocol: UDP}]
        env: [{name: HOST, value: example.org}, {name: PORT, value: "80"}]
        envFrom: [{configMapRef: {name: settings}}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: a.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bind}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: role}
subjects: [{kind: ServiceAccount, name: runner, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: role}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: example.org/v1
kind: Thing
metadata: {name: thing}
spec: {items: [{name: a, value: 1}, {name: b, value: 2}], text: "yes", octal: 0644}
""",
}
PATCH = """
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      template:
        spec:
          containers:
          - name: side
            image: side:1
          - name: web
            ports: [{containerPort: 80, name: http}]
            env: [{name: PORT, $patch: delete}, {name: NEW, value: x}]
"""
REPLACEMENTS = """
replacements:
- source: {kind: Service, name: web, fieldPath: spec.ports.0.port}
  targets:
  - select: {kind: Ingress}
    fieldPaths: [spec.rules.*.http.paths.*.backend.service.port.number]
- source: {kind: ConfigMap, name: settings, fieldPath: metadata.name}
  targets:
  - select: {kind: Deployment}
    fieldPaths: ["spec.template.spec.containers.[name=web].env.[name=HOST].value"]
    options: {delimiter: ., index: 0}
  - select: {kind: Deployment}
    fieldPaths: ["metadata.annotations.example\\\\.org/config"]
    options: {create: true}
"""
OVERLAYS = {
    "names": "namespace: prod\nnamePrefix: a-\nnameSuffix: -z\n",
    "labels": "labels: [{pairs: {team: x}, includeSelectors: true}, {pairs: {tier: back}, includeTemplates: true}]\n",
    "common": "commonLabels: {team: x}\ncommonAnnotations: {owner: anna}\n",
    "images": "images: [{name: ghcr.io/acme/web, newName: other/web, newTag: '2'}, {name: ghcr.io/acme/init, digest: sha256:ab}]\n",
    "strategic": PATCH,
    "crd": "patches:\n- patch: |-\n    apiVersion: example.org/v1\n    kind: Thing\n    metadata: {name: thing}\n"
    "    spec: {items: [{name: c}]}\n",
    "json": "patches:\n- target: {kind: Deployment, labelSelector: app=web}\n  patch: |-\n"
    "    - {op: replace, path: /spec/template/spec/containers/0/image, value: x}\n"
    "    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: Z, value: z}}\n"
    "    - {op: remove, path: /metadata/labels}\n",
    "merged": "configMapGenerator: [{name: settings, behavior: merge, literals: [B=2]}]\n"
    "secretGenerator: [{name: key, literals: [K=v], type: example.org/x}]\n",
    "options": "generatorOptions: {disableNameSuffixHash: true, labels: {g: h}}\nconfigMapGenerator: [{name: more, literals: [C=3]}]\n",
    "replicas": "replicas: [{name: web, count: 4}]\n",
    "replacements": REPLACEMENTS,
    "origin": "buildMetadata: [originAnnotations, transformerAnnotations]\nnamePrefix: a-\n",
    "deleted": "patches:\n- patch: |-\n    {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, $patch: delete}\n",
    "everything": "namespace: prod\nnamePrefix: a-\n"
    + PATCH
    + REPLACEMENTS
    + "images: [{name: side, newTag: '9'}]\n",
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_built_as_kubectl_builds_it(name: str, tmp_path: Path) -> None:
    files = {**BASE, "over/kustomization.yaml": "resources: [../base]\n" + OVERLAYS[name]}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    theirs = subprocess.run(
        ["kubectl", "kustomize", "over"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert theirs.returncode == 0, theirs.stderr
    ours = subprocess.run(
        [sys.executable, "-m", "windlass.manifests.kustomize", "build", "over"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ours.stderr == ""
    assert ours.stdout == theirs.stdout
