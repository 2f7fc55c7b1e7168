"""Building for real: a service as people write it, on every engine, with nothing of this machine left in it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tarfile
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from httpx2 import AsyncClient, HTTPError

from windlass.engine import ContainerSpec, Port
from windlass.engine.cli import CliEngine
from windlass.images import BaseUnavailableError, BuildError, BuildRequest, build, pull, push
from windlass.images.machine import PLACE, read_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from images.conftest import Bench, Serving

DOCKERFILE = """\
# A service as people write it.
ARG TAG={tag}
FROM {image} AS build
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --prefix=/install -r requirements.txt \\
    # a comment between continued lines
    && python -m venv /venv

FROM python:${{TAG}}
WORKDIR /app
COPY --from=build /install /usr/local
COPY --from=build /venv /venv
COPY main.py ./
USER 10001
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
"""
MAIN = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}
"""


@pytest.fixture
def service(tmp_path: Path, python_image: str) -> Path:
    context = tmp_path / "service"
    context.mkdir()
    text = DOCKERFILE.format(image=python_image, tag=python_image.partition(":")[2])
    (context / "Dockerfile").write_text(text)
    # A line of its own, so that no run before has the layer.
    (context / "requirements.txt").write_text(f"# {uuid.uuid4()}\nfastapi>=0.115\nuvicorn>=0.34\n")
    (context / "main.py").write_text(MAIN)
    return context


@pytest.mark.timeout(400)
async def test_a_fastapi_service_is_built_run_pushed_and_pulled_and_nothing_of_this_machine_is_in_it(
    bench: Bench, service: Path, registry: Serving, tmp_path: Path
) -> None:
    lines: list[str] = []
    request = BuildRequest(service, (bench.tag(),), labels={"a": "b c"}, network=bench.network)  # type: ignore[arg-type]
    built = await build(bench.engine, request, lines.append, cache_dir=bench.cache)
    assert built.steps >= 6
    info = await bench.engine.image(bench.tag())
    assert info is not None
    assert info.id == built.image_id
    assert (info.user, info.exposed, info.labels["a"]) == ("10001", (8000,), "b c")
    assert any("Successfully installed" in line for line in lines)

    began = time.monotonic()
    again = await build(bench.engine, request, lines.append, cache_dir=bench.cache)
    assert again.image_id == built.image_id
    assert again.cached >= 6
    assert time.monotonic() - began < 8

    await answers(bench)
    await no_trace(bench, tmp_path)

    mirrors = {"ghcr.io": registry.host}
    digest = await push(
        bench.engine, bench.tag(), mirrors=mirrors, auth_file=registry.auth_file, on_line=lines.append
    )
    assert digest.startswith("sha256:")
    assert await push(bench.engine, bench.tag(), mirrors=mirrors, auth_file=registry.auth_file) == digest
    await bench.engine.image_remove(bench.tag())
    assert await bench.engine.image(bench.tag()) is None
    back = await pull(bench.engine, bench.tag(), mirrors=mirrors, auth_file=registry.auth_file)
    assert back.id == built.image_id
    assert await bench.engine.image(bench.tag()) is not None
    name = bench.tag().rpartition(":")[0]
    by_digest = await pull(bench.engine, f"{name}@{digest}", mirrors=mirrors, auth_file=registry.auth_file)
    assert by_digest.id == built.image_id
    await bench.engine.image_remove(bench.tag().replace("ghcr.io", registry.host))


async def answers(bench: Bench) -> None:
    network = f"wl-test-{bench.token}"
    spec = ContainerSpec(
        f"wl-test-{bench.token}", bench.tag(), ports=(Port(8000),), network=network, read_only=True
    )
    await bench.engine.network_ensure(network)
    try:
        await bench.engine.run(spec)
        container = await bench.engine.inspect(spec.name)
        assert container is not None
        async with AsyncClient(timeout=2, trust_env=False) as client:
            for _ in range(200):
                try:
                    answer = await client.get(f"http://127.0.0.1:{container.ports[8000]}/health")
                except HTTPError:
                    await asyncio.sleep(0.05)
                else:
                    break
        assert answer.json() == {"ok": True}
        inside = await bench.engine.exec(
            spec.name, ["python", "-c", "import sys, os; print(sys.prefix, os.listdir('/dev'))"]
        )
        assert inside.stdout.startswith(b"/usr/local ")
        assert b"windlass" not in inside.stdout
        venv = await bench.engine.exec(spec.name, ["/venv/bin/python", "-c", "import sys; print(sys.prefix)"])
        assert venv.stdout == b"/venv\n"
    finally:
        await bench.engine.remove(spec.name)
        await bench.engine.network_remove(network)


async def no_trace(bench: Bench, tmp_path: Path) -> None:
    """Neither the bundle, nor the mirrors, nor the aids' place is in a layer or in what runs."""
    machine = read_machine()
    marks = [machine.ca_bundle[-400:-100]] if machine.ca_bundle else []
    marks += [
        url.encode() for key in ("index-url", "extra-index-url") for url in machine.pip.get(key, "").split()
    ]
    assert isinstance(bench.engine, CliEngine)
    tar = tmp_path / "image.tar"
    saved = bench.engine.tool.command("save", "--output", str(tar), bench.tag())
    await asyncio.to_thread(subprocess.run, saved.argv, check=True, capture_output=True)
    with tarfile.open(tar) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(archive.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
        assert not any(
            "windlass" in item or "CERT" in item or "PIP_" in item for item in config["config"]["Env"]
        )
        for layer in manifest[0]["Layers"][1:]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                for name, content in _contents(files):
                    assert "dev/" not in name
                    assert PLACE.encode() not in content, name
                    assert not any(mark in content for mark in marks), name
                    assert not name.endswith(("etc/ssl/certs/ca-certificates.crt", "pip.conf")), name
    if bench.engine.name == "podman":
        assert "windlass" not in json.dumps(config["history"])


def _contents(files: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for entry in files:
        reader = files.extractfile(entry) if entry.isfile() else None
        yield entry.name, reader.read() if reader else b""


@pytest.mark.timeout(300)
async def test_a_failing_step_is_named_with_its_last_lines(
    bench: Bench, tmp_path: Path, python_image: str
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {python_image}\nRUN echo before-it && python -c 'import nothing_such'\n"
    )
    request = BuildRequest(tmp_path, (bench.tag("small"),), network=bench.network)  # type: ignore[arg-type]
    lines: list[str] = []
    with pytest.raises(BuildError, match="The build failed") as caught:
        await build(bench.engine, request, lines.append, cache_dir=bench.cache)
    assert any("nothing_such" in line for line in caught.value.lines)
    assert any("before-it" in line for line in lines)
    assert caught.value.remedy


@pytest.mark.timeout(300)
async def test_arguments_targets_secrets_and_ignored_files(
    bench: Bench, tmp_path: Path, python_image: str
) -> None:
    (tmp_path / "ignored.txt").write_text("x")
    (tmp_path / ".dockerignore").write_text("ignored.txt\n")
    (tmp_path / "secret").write_text("s3cret-value")
    dockerfiles = tmp_path / "docker"
    dockerfiles.mkdir()
    (dockerfiles / "Dockerfile.prod").write_text(
        f"FROM {python_image} AS one\nARG COLOUR=none\nARG PATH_LIKE\n"
        'RUN --mount=type=secret,id=key python -c "import os; '
        "assert open('/run/secrets/key').read() == 's3cret-value'; "
        "assert os.environ['COLOUR'] == 'deep blue'\"\n"
        "COPY . /all/\nRUN test ! -e /all/ignored.txt\nENV COLOUR_WAS=$COLOUR\n"
        "FROM one AS two\nRUN false\n"
    )
    request = BuildRequest(
        tmp_path,
        (bench.tag("small"), bench.tag("again")),
        dockerfile=dockerfiles / "Dockerfile.prod",
        target="one",
        build_args={"COLOUR": "deep blue"},
        secrets={"key": tmp_path / "secret"},
        network=bench.network,  # type: ignore[arg-type]
    )
    built = await build(bench.engine, request, lambda _: None, cache_dir=bench.cache)
    for name in ("small", "again"):
        info = await bench.engine.image(bench.tag(name))
        assert info is not None
        assert info.id == built.image_id
        assert info.env["COLOUR_WAS"] == "deep blue"


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bench", ["podman"], indirect=True)
async def test_with_a_timestamp_the_same_tree_gives_the_same_image(
    bench: Bench, tmp_path: Path, python_image: str
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {python_image}\nCOPY main.py /app/\nRUN pip install --no-cache-dir --no-compile h11==0.14.0\n"
    )
    (tmp_path / "main.py").write_text("print(1)\n")
    request = BuildRequest(tmp_path, (bench.tag("small"),), timestamp=0, no_cache=True)
    first = await build(bench.engine, request, lambda _: None, cache_dir=bench.cache)
    second = await build(bench.engine, request, lambda _: None, cache_dir=bench.cache)
    assert first.digest == second.digest != ""


@pytest.mark.timeout(120)
async def test_a_base_image_that_cannot_be_had_is_the_reason_given(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM registry.invalid/acme/base:1\nRUN true\n")
    lines: list[str] = []
    with pytest.raises(
        BaseUnavailableError, match=r"registry\.invalid/acme/base:1: its registry does not answer"
    ):
        await build(bench.engine, BuildRequest(tmp_path, (bench.tag(),)), lines.append, cache_dir=tmp_path)
    assert lines[0].startswith("warning: No base image registry.invalid/acme/base:1")
