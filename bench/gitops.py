"""From a GitOps commit to its objects applied, against applying the same objects by hand."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import yaml

from bench.rows import Row, row
from bench.world import BenchError, need
from windlass.cli.demo import EXAMPLES
from windlass.cli.demonstration.world import await_settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.world import World
    from windlass.cli.demonstration.world import Checkout

REPOSITORY = "acme/gitops-repo"
IMAGE = "acme/agent-task-service"
OVERLAY = Path("agent-task-service") / "overlays" / "production"
NAMESPACE = "bench-reference"
MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
PLURALS = {"Deployment": "apis/apps/v1", "ConfigMap": "api/v1", "Service": "api/v1"}
MILLI = 1000.0


@dataclass
class Series:
    """Measurements in milliseconds."""

    applied: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    kubectl: list[float] = field(default_factory=list)


def publish(world: World, tags: list[str]) -> None:
    """Put an image without layers into the registry, a manifest of its own for each tag."""
    headers = {"Authorization": f"Bearer {world.admin}"}
    base = f"{world.client.url}/v2/{IMAGE}"
    with httpx.Client(headers=headers, trust_env=False, timeout=30) as client:
        for tag in tags:
            labels = {"config": {"Labels": {"tag": tag}}, "architecture": "amd64", "os": "linux"}
            config = json.dumps({**labels, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
            digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
            begun = client.post(f"{base}/blobs/uploads/", params={"digest": digest}, content=config)
            if begun.status_code != httpx.codes.CREATED:
                raise BenchError(f"the registry refused a blob: {begun.status_code} {begun.text}")
            body = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest, "size": len(config)},
                "layers": [],
            }
            done = client.put(
                f"{base}/manifests/{tag}", content=json.dumps(body), headers={"Content-Type": MANIFEST}
            )
            if done.status_code != httpx.codes.CREATED:
                raise BenchError(f"the registry refused a manifest: {done.status_code} {done.text}")


class Reference:
    """The same objects in a namespace of their own, without pods, applied by hand."""

    def __init__(self, world: World, checkout: Checkout, client: httpx.Client, server: str) -> None:
        self._overlay = checkout.root / OVERLAY
        self._kubeconfig = world.data / "work" / "kubeconfig.yaml"
        self._client = client
        self._server = server
        self._namespace()

    def objects(self) -> list[dict[str, Any]]:
        """Render the overlay, for another namespace and without pods."""
        argv = ["kubectl", "kustomize", str(self._overlay)]
        text = subprocess.run(argv, capture_output=True, check=True).stdout
        found = [item for item in yaml.safe_load_all(text) if item]
        for item in found:
            item["metadata"]["namespace"] = NAMESPACE
            if item["kind"] == "Deployment":
                item["spec"]["replicas"] = 0
        return found

    def direct(self, objects: list[dict[str, Any]]) -> float:
        """Apply them over a connection that is open."""
        begun = time.perf_counter()
        for item in objects:
            kind, name = item["kind"], item["metadata"]["name"]
            self._apply(f"{PLURALS[kind]}/namespaces/{NAMESPACE}/{kind.lower()}s/{name}", item)
        return (time.perf_counter() - begun) * MILLI

    def kubectl(self, objects: list[dict[str, Any]]) -> float:
        """Apply them by kubectl, as a person does."""
        argv = [
            "kubectl",
            "--kubeconfig",
            str(self._kubeconfig),
            "apply",
            "--server-side",
            "--force-conflicts",
        ]
        text = yaml.safe_dump_all(objects).encode()
        begun = time.perf_counter()
        done = subprocess.run([*argv, "-f", "-"], input=text, capture_output=True, check=False)
        if done.returncode:
            raise BenchError(f"kubectl apply: {done.stderr.decode(errors='replace')}")
        return (time.perf_counter() - begun) * MILLI

    def _namespace(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self._apply(f"api/v1/namespaces/{NAMESPACE}", body)

    def _apply(self, path: str, body: dict[str, Any]) -> None:
        answer = self._client.patch(
            f"{self._server}/{path}",
            params={"fieldManager": "bench", "force": "true"},
            content=json.dumps(body),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if answer.is_error:
            raise BenchError(f"apply {path}: {answer.status_code} {answer.text}")


@contextmanager
def reference(world: World, checkout: Checkout) -> Iterator[Reference]:
    """Open a connection with the credentials that `windlass kubeconfig` gives."""
    import base64
    import ssl

    text = world.client.call("POST", "/kubeconfig", json={"namespace": NAMESPACE})
    (world.data / "work" / "kubeconfig.yaml").write_text(text, encoding="utf-8")
    config = yaml.safe_load(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
    headers = {"Authorization": f"Bearer {user['token']}"}
    verify = ssl.create_default_context(cadata=ca)
    with httpx.Client(headers=headers, verify=verify, trust_env=False, timeout=30) as client:
        yield Reference(world, checkout, client, cluster["server"])


def measure(world: World, rounds: int) -> Iterator[Row]:
    """Commit tag after tag; after each is live, apply the same objects by hand."""
    need("kubectl")
    tags = [f"{hashlib.sha1(str(number).encode()).hexdigest()}" for number in range(rounds + 1)]  # noqa: S324
    publish(world, tags)
    checkout = world.checkout(REPOSITORY, applications="argocd/applications", source=EXAMPLES / "gitops-repo")
    series = Series()
    with reference(world, checkout) as by_hand:
        for tag in tags:
            objects = _change(checkout, tag, by_hand)
            series.applied.append(_ours(world, checkout, tag))
            series.direct.append(by_hand.direct(objects))
            objects[0].setdefault("metadata", {}).setdefault("annotations", {})["by"] = "kubectl"
            series.kubectl.append(by_hand.kubectl(objects))
    for values in (series.applied, series.direct, series.kubectl):
        del values[0]  # it creates everything
    includes = (
        "from the recorded push of a new image tag to all objects applied: Application found, rendered, "
        "tag resolved to a digest, holds asked, compared, applied by server-side apply, recorded"
    )
    yield row(
        "GitOps commit → applied",
        "ms",
        series.applied,
        series.direct,
        reference_is="the same three objects, rendered before, applied by server-side apply over an open connection",
        includes=includes,
    )
    yield row(
        "GitOps commit → applied, by hand",
        "ms",
        series.applied,
        series.kubectl,
        reference_is="`kubectl apply --server-side` of the same objects, rendered before",
        includes=includes,
    )


def _change(checkout: Checkout, tag: str, by_hand: Reference) -> list[dict[str, Any]]:
    file = checkout.root / OVERLAY / "kustomization.yaml"
    text = file.read_text(encoding="utf-8").partition("images:\n")[0]
    file.write_text(f"{text}images:\n  - name: ghcr.io/{IMAGE}\n    newTag: {tag}\n", encoding="utf-8")
    return by_hand.objects()


def _ours(world: World, checkout: Checkout, tag: str) -> float:
    sha = checkout.commit(f"Deploy {tag[:7]}")
    checkout.git("push", "--quiet", "-o", "follow=no", "origin", "main")
    chain = await_settled(world.client, sha, 30)
    if chain["state"] != "live":
        raise BenchError(f"the GitOps commit {sha[:7]} is {chain['state']}: {chain['deliveries'][-1:]}")
    found = chain["deliveries"][-1]["delivery"]
    return float(found["applied_at"] - found["committed_at"]) * MILLI
