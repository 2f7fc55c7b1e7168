"""The programs that people use against a registry: podman, skopeo, docker."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from registry.conftest import Serving

pytestmark = pytest.mark.integration


@dataclass
class Tools:
    """Runs client programs with a storage and credentials of their own."""

    folder: Path

    async def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}

        def work() -> subprocess.CompletedProcess[str]:
            return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=100)

        done = await anyio.to_thread.run_sync(work)
        assert not (check and done.returncode), f"{argv}: {done.stdout} {done.stderr}"
        return done

    async def podman(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        storage = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        return await self.run("podman", *storage, "--storage-driver", "vfs", *words, check=check)


def layer(folder: Path, size: int) -> Path:
    """Write a tar with one file of `size` random bytes."""
    path = folder / "layer.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("data")
        member.size = size
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    return path


@pytest.fixture
def tools() -> Iterator[Tools]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:  # podman wants short paths
        (Path(folder) / "auth.json").write_text("{}")
        yield Tools(Path(folder))


async def test_podman_logs_in_pushes_and_pulls(serving: Serving, tools: Tools, tmp_path: Path) -> None:
    image = f"{serving.host}/acme/x"
    login = ["login", "--tls-verify=false", "-u", "anna", serving.host]
    assert (await tools.podman(*login, "-p", "wrong", check=False)).returncode
    await tools.podman(*login, "-p", "anna-token")
    await tools.podman("import", "-q", str(layer(tmp_path, 100_000)), f"{image}:v1")
    await tools.podman("push", "-q", "--tls-verify=false", f"{image}:v1")
    await tools.podman("push", "-q", "--tls-verify=false", f"{image}:v1")
    await tools.podman("tag", f"{image}:v1", f"{image}:sha-0123456")
    await tools.podman("push", "-q", "--tls-verify=false", f"{image}:sha-0123456")
    digest = await serving.registry.resolve("acme/x", "v1")
    assert digest == await serving.registry.resolve("acme/x", "sha-0123456")
    await tools.podman("rmi", "-af")
    await tools.podman("pull", "-q", "--tls-verify=false", f"{image}@{digest}")
    await tools.podman("pull", "-q", "--tls-verify=false", f"{image}:v1")
    refused = await tools.podman(
        "push", "--tls-verify=false", f"{image}:v1", f"{serving.host}/other/x:v1", check=False
    )
    assert refused.returncode
    assert "other/x" in refused.stderr


async def test_another_image_under_an_immutable_tag_is_refused_with_a_reason(
    serving: Serving, tools: Tools, tmp_path: Path
) -> None:
    tag = f"{serving.host}/acme/x:sha-abcdef0"
    creds = ("--creds", "x:anna-token", "--tls-verify=false")
    await tools.podman("import", "-q", str(layer(tmp_path, 10)), tag)
    await tools.podman("push", "-q", *creds, tag)
    await tools.podman("import", "-q", str(layer(tmp_path, 10)), tag)
    refused = await tools.podman("push", "-q", *creds, tag, check=False)
    assert refused.returncode
    assert "Such a tag never changes" in refused.stderr


async def test_skopeo_copies_in_and_out_inspects_and_deletes(
    serving: Serving, tools: Tools, tmp_path: Path
) -> None:
    await tools.podman("import", "-q", str(layer(tmp_path, 100_000)), "localhost/x:v1")
    await tools.podman(
        "save", "-q", "--format", "oci-archive", "-o", str(tmp_path / "x.oci"), "localhost/x:v1"
    )
    there = f"docker://{serving.host}/acme/x"
    await tools.run("skopeo", "login", "--tls-verify=false", "-u", "anna", "-p", "anna-token", serving.host)
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    for number, kind in enumerate(("oci", "v2s2")):
        await tools.run(
            "skopeo",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            "-f",
            kind,
            f"oci-archive:{tmp_path}/x.oci",
            f"{there}:v{number}",
        )
    found = json.loads((await tools.run("skopeo", "inspect", "--tls-verify=false", f"{there}:v0")).stdout)
    assert found["RepoTags"] == ["v0", "v1"]
    assert found["Digest"] == await serving.registry.resolve("acme/x", "v0")
    # Between repositories of one registry the blobs are mounted.
    await tools.run("skopeo", "copy", "-q", *plain, f"{there}:v1", f"docker://{serving.host}/acme/y:v1")
    await tools.run("skopeo", "copy", "-q", "--src-tls-verify=false", f"{there}:v1", f"dir:{tmp_path}/out")
    await tools.run("skopeo", "delete", "--tls-verify=false", f"{there}:v0")
    assert await serving.registry.tags("acme/x") == {"v1": await serving.registry.resolve("acme/y", "v1")}


@pytest.fixture
async def dockerd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Docker daemon on a private socket; yields its address."""
    if not shutil.which("dockerd"):
        pytest.skip("no dockerd")
    folder = tmp_path_factory.mktemp("d")  # the address of a socket has 107 bytes at most
    address = f"unix://{folder}/s"
    argv = [
        *("dockerd", "-H", address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("-p", str(folder / "pid"), "--storage-driver", "vfs", "--bridge", "none", "--iptables=false"),
        *("--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    ]
    with (folder / "log").open("wb") as log:
        process = await anyio.open_process(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            with anyio.fail_after(30):
                while not (folder / "s").exists():
                    assert process.returncode is None, (folder / "log").read_text()[-1500:]
                    await anyio.sleep(0.1)
            yield address
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                with anyio.move_on_after(15):
                    await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()
            for left in ("exec/netns/default", "data"):
                subprocess.run(["umount", str(folder / left)], check=False, capture_output=True)


@pytest.mark.docker
async def test_docker_logs_in_pushes_and_pulls(
    serving: Serving, tools: Tools, tmp_path: Path, dockerd: str
) -> None:
    docker = ["docker", "--config", str(tmp_path / "config"), "-H", dockerd]
    image = f"{serving.host}/acme/x:v1"
    await tools.run(*docker, "login", "-u", "anna", "-p", "anna-token", serving.host)
    await tools.run(*docker, "import", str(layer(tmp_path, 3_000_000)), image)
    await tools.run(*docker, "push", "-q", image)
    await tools.run(*docker, "rmi", image)
    await tools.run(*docker, "pull", "-q", image)
    assert list(await serving.registry.tags("acme/x")) == ["v1"]
