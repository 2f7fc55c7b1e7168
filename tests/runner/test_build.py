"""docker/build-push-action, with the scripted engine and with podman."""

from __future__ import annotations

import base64
import shutil
import subprocess
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.actions.build import records

if TYPE_CHECKING:
    from runner.conftest import Forge

WRITE = {
    "run": "printf 'FROM scratch AS base\\nARG WHO=nobody\\nLABEL who=$WHO\\nCOPY hello /hello\\n' > Dockerfile; echo hi > hello"  # noqa: E501
}
DIGEST = "sha256:"
TOKEN = "wl_5f2c9d1ab07e4c6a83d2"


def build(**inputs: str) -> dict[str, Any]:
    return {"uses": "docker/build-push-action@v6", "id": "build", "with": {"context": ".", **inputs}}


PODMAN = pytest.param(
    "podman",
    marks=[pytest.mark.integration, pytest.mark.skipif(not shutil.which("podman"), reason="no podman here")],
)


@pytest.mark.parametrize("engine", ["fake", PODMAN])
def test_tags_from_metadata_are_built_pushed_and_published(
    host_forge: Forge, registry: str, engine: str
) -> None:
    host_forge.mirrors = {"ghcr.io": registry}
    host_forge.engine = engine
    name = f"acme/Service-{uuid.uuid4().hex[:8]}"
    login = {"registry": "ghcr.io", "username": "a", "password": "${{ github.token }}"}
    ran = host_forge.run(
        WRITE,
        {"uses": "docker/login-action@v3", "with": login},
        {
            "uses": "docker/metadata-action@v5",
            "id": "meta",
            "with": {"images": f"ghcr.io/{name}", "tags": "type=sha,priority=1000\ntype=ref,event=branch"},
        },
        build(push="true", tags="${{ steps.meta.outputs.tags }}", labels="${{ steps.meta.outputs.labels }}"),
        {"run": "echo '${{ steps.build.outputs.digest }}' \"$DOCKER_METADATA_OUTPUT_VERSION\""},
        definition={"outputs": {"version": "${{ steps.meta.outputs.version }}"}},
    )
    if engine == "podman":
        for tag in ("sha-0123456", "main"):
            image = f"ghcr.io/{name.lower()}:{tag}"
            subprocess.run(["podman", "image", "rm", "--force", image], capture_output=True, check=False)
    assert ran.conclusion == "success", ran.everything
    event = ran.of("image.published")[0]
    assert event["image"] == f"ghcr.io/{name.lower()}"
    assert event["tags"] == ["sha-0123456", "main"]
    assert event["digest"].startswith(DIGEST)
    assert ran.outputs == {"version": "sha-0123456"}
    assert ran.printed(5) == f"{event['digest']} sha-0123456\n"
    assert "org.opencontainers.image.revision=0123456789abcdef" in ran.printed(3)
    assert (
        manifest(registry, name.lower(), "main")
        == manifest(registry, name.lower(), "sha-0123456")
        == event["digest"]
    )


def manifest(host: str, name: str, tag: str) -> str:
    """The digest that the registry itself has for a tag."""
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", method="HEAD")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode())
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_a_push_without_credentials_fails(host_forge: Forge, registry: str) -> None:
    host_forge.mirrors = {"ghcr.io": registry}
    ran = host_forge.run(WRITE, build(push="true", tags="ghcr.io/acme/service:1"))
    assert ran.conclusion == "failure"
    assert ran.of("image.published") == []


def test_without_push_nothing_is_published(host_forge: Forge) -> None:
    ran = host_forge.run(WRITE, build(tags="x:1", load="true"))
    assert ran.conclusion == "success", ran.everything
    assert ran.of("image.published") == []


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"push": "true"}, "tag is needed when pushing"),
        ({"platforms": "linux/amd64,linux/riscv64"}, "no emulation"),
        ({"context": "../.."}, "leads out"),
        ({"context": "https://github.com/x/y.git"}, "only directories"),
        ({"file": "none/Dockerfile"}, "there is no none/Dockerfile"),
        ({"outputs": "type=tar,dest=x"}, "cannot be honoured"),
        ({"build-contexts": "a=b"}, "cannot be honoured"),
        ({"secret-files": "k=/etc/passwd"}, "leads out"),
        ({"push": "perhaps"}, "neither true nor false"),
    ],
)
def test_refusals(host_forge: Forge, inputs: dict[str, str], message: str) -> None:
    ran = host_forge.run(WRITE, build(**inputs))
    assert ran.conclusion == "failure"
    assert message in ran.wait()["reason"]


def test_a_context_that_is_a_link_out_is_refused(sandboxed: Forge) -> None:
    keys = sandboxed.data / "keys"
    keys.mkdir(parents=True)
    (keys / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    ran = sandboxed.run(
        {"run": f"ln -s {keys} out; ln -s {keys}/Dockerfile Dockerfile"}, build(context="out")
    )
    assert ran.conclusion == "failure"
    assert "leads out" in ran.wait()["reason"]
    again = sandboxed.run({"run": f"ln -s {keys}/Dockerfile Dockerfile"}, build())
    assert again.conclusion == "failure"


def test_what_has_no_effect_is_said(host_forge: Forge) -> None:
    cache = {
        "cache-from": "type=gha",
        "cache-to": "type=gha,mode=max",
        "provenance": "mode=max",
        "platforms": "",
    }
    ran = host_forge.run(WRITE, build(tags="x:1", **cache))
    assert ran.conclusion == "success", ran.everything
    said = "\n".join(event["message"] for event in ran.of("annotation", level="warning"))
    for name in ("provenance", "cache-from", "cache-to"):
        assert f"input {name} has no effect here" in said


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("A=1\n\n B=2 \n", ["A=1", "B=2"]),
        ('"TOKEN=abc"\nX=a,b\n', ["TOKEN=abc", "X=a,b"]),
        ('"KEY=one\ntwo\n\nthree"\nX="quoted"', ["KEY=one\ntwo\n\nthree", 'X="quoted"']),
        ('"JSON={""a"": 1}"', ['JSON={"a": 1}']),
    ],
)
def test_lists_have_an_entry_a_line_or_in_quotes(text: str, entries: list[str]) -> None:
    assert records(text) == entries


@pytest.mark.integration
@pytest.mark.skipif(not shutil.which("podman"), reason="no podman here")
def test_podman_builds_what_the_sandbox_wrote(sandboxed: Forge) -> None:
    sandboxed.engine = "podman"
    name = f"localhost/windlass-test-{uuid.uuid4().hex[:8]}"
    try:
        ran = sandboxed.run(
            WRITE,
            build(tags=f"{name}:1", **{"build-args": "WHO=anna"}, target="base", labels="made-by=test"),
            {"run": "echo '${{ steps.build.outputs.imageid }}'"},
        )
        assert ran.conclusion == "success", ran.everything
        shown = subprocess.run(
            ["podman", "image", "inspect", "--format", "{{.Id}} {{.Labels}}", f"{name}:1"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert ran.printed(3).strip().removeprefix("sha256:") == shown.split()[0]
        assert "who:anna" in shown
        assert "made-by:test" in shown
    finally:
        subprocess.run(["podman", "image", "rm", "--force", f"{name}:1"], capture_output=True, check=False)


@pytest.mark.integration
@pytest.mark.skipif(not shutil.which("podman"), reason="no podman here")
def test_a_build_that_fails_shows_why(sandboxed: Forge) -> None:
    sandboxed.engine = "podman"
    ran = sandboxed.run(
        {"run": "printf 'FROM scratch\\nCOPY absent /x\\n' > Dockerfile"}, build(tags="localhost/x:1")
    )
    assert ran.conclusion == "failure"
    assert "absent" in ran.everything
