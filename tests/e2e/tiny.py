"""A service as small as one can be, and the GitOps repository beside it: one line through all of it takes seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVICE, GITOPS, APPLICATION = "acme/tiny", "acme/gitops-repo", "tiny"

SERVER = """\
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "%(version)s"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        broken = {"/health": "BREAK", "/tasks": "TASKS"}.get(self.path.partition("?")[0])
        bad = broken and os.environ.get(broken) == "1"
        body = (broken + " is set" if bad else VERSION).encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *values):
        if values[-2:-1] != ("200",):
            print(text %% values, file=sys.stderr, flush=True)


def leave(*_):
    threading.Timer(0.3, os._exit, (0,)).start()


signal.signal(signal.SIGTERM, leave)
server = ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
print("version", VERSION, flush=True)
server.serve_forever()
"""

DOCKERFILE = """\
FROM python:3.11-slim
COPY server.py /server.py
EXPOSE 8000
CMD ["python3", "/server.py"]
"""

WORKFLOW = """\
name: ci
on: {push: {branches: [main]}}
permissions: {contents: read, packages: write}
env:
  IMAGE: ghcr.io/acme/tiny
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Test
        run: grep VERSION server.py && sleep 0.2
  build-and-push:
    needs: test
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: docker/login-action@v3
        with: {registry: ghcr.io, username: "${{ github.actor }}", password: "${{ secrets.GITHUB_TOKEN }}"}
      - uses: docker/build-push-action@v6
        with: {context: ., push: true, tags: "${{ env.IMAGE }}:${{ github.sha }}"}
  update-gitops:
    needs: build-and-push
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: {repository: acme/gitops-repo, token: "${{ secrets.GITOPS_REPO_TOKEN }}"}
      - name: Point at the new image
        working-directory: tiny
        run: kustomize edit set image "$IMAGE=$IMAGE:$GITHUB_SHA"
      - name: Commit and push
        run: |
          git config user.name ci
          git config user.email ci@acme.example
          git commit --all --message "tiny: $GITHUB_SHA"
          git pull --rebase
          git push
"""

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: tiny
resources:
  - deployment.yaml
  - service.yaml
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tiny
spec:
  replicas: 2
  progressDeadlineSeconds: 20
  selector:
    matchLabels: {app: tiny}
  template:
    metadata:
      labels: {app: tiny}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: app
          image: ghcr.io/acme/tiny
          ports: [{name: http, containerPort: 8000}]
          env:
            - {name: BREAK, value: "0"}
            - {name: TASKS, value: "0"}
            - {name: ROUND, value: "0"}
          readinessProbe:
            httpGet: {path: /health, port: http}
            periodSeconds: 1
            failureThreshold: 2
"""

SERVICE_OBJECT = """\
apiVersion: v1
kind: Service
metadata:
  name: tiny
spec:
  selector: {app: tiny}
  ports: [{name: http, port: 80, targetPort: http}]
"""

APPLICATION_OBJECT = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: tiny
  namespace: argocd
  annotations:
    windlass.dev/verify: |
      - {phase: candidate, path: /health}
      - {phase: live, path: /health}
      - {phase: live, path: /tasks}
spec:
  project: default
  source:
    repoURL: https://github.com/acme/gitops-repo.git
    targetRevision: main
    path: tiny
  destination: {server: https://kubernetes.default.svc, namespace: tiny}
  syncPolicy:
    automated: {prune: true, selfHeal: true}
    syncOptions: [CreateNamespace=true]
"""


def write_service(root: Path, version: str) -> None:
    """Write the service's repository at a version."""
    _write(root, {"server.py": SERVER % {"version": version}, "Dockerfile": DOCKERFILE})
    _write(root, {".github/workflows/ci.yaml": WORKFLOW})


def write_gitops(root: Path) -> None:
    """Write the GitOps repository."""
    _write(root / "tiny", {"kustomization.yaml": KUSTOMIZATION, "deployment.yaml": DEPLOYMENT})
    _write(root / "tiny", {"service.yaml": SERVICE_OBJECT})
    _write(root, {"argocd/applications/tiny.yaml": APPLICATION_OBJECT})


def set_variables(root: Path, **values: str) -> None:
    """Set variables of the container; the others go back to what they were."""
    text = DEPLOYMENT
    for name, value in values.items():
        text = text.replace(f'name: {name}, value: "0"', f'name: {name}, value: "{value}"')
    _write(root / "tiny", {"deployment.yaml": text})


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
