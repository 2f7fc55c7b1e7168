"""Reading what the engines say: times, JSON, complaints, output as it comes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import anyio
import pytest

from windlass.engine import (
    ContainerNotFoundError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageAccessError,
    ImageNotFoundError,
    NameInUseError,
    RegistryUnreachableError,
    StartError,
)
from windlass.engine.choose import choose_engine, detect
from windlass.engine.cli import parse, process
from windlass.engine.cli.argv import Tool
from windlass.engine.cli.containers import ContainerCommands
from windlass.engine.cli.failures import failure
from windlass.engine.cli.follow import LineSink, one_stamp
from windlass.engine.cli.limits import HostLimits
from windlass.engine.cli.process import Command, call


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5+00:00", 1.5),
        ("1970-01-01T01:00:00.123456789+01:00", 0.123456789),
        ("1970-01-01 00:00:02.25 +0000 UTC", 2.25),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        (None, 0.0),
        (12.5, 12.5),
    ],
)
def test_times(text: str | float | None, value: float) -> None:
    assert parse.seconds(text) == pytest.approx(value)


def test_rfc3339_is_read_back() -> None:
    assert parse.seconds(parse.rfc3339(1_700_000_000.25)) == 1_700_000_000.25


def test_of_the_times_in_a_line_the_program_keeps_its_own() -> None:
    first, later, own = (b"2026-11-29T18:18:59.638%d0000Z " % n for n in (20, 30, 10))
    assert one_stamp(first + b"line" + later + b" 1" + later + b"\n") == first + b"line 1\n"
    assert one_stamp(first + own + b"said\n") == first + own + b"said\n"
    assert one_stamp(b"no time\n") == b"no time\n"


def test_a_docker_container() -> None:
    found = parse.container(
        {
            "Id": "abc",
            "Name": "/pod",
            "Created": "1970-01-01T00:00:01.5Z",
            "Image": "sha256:i",
            "State": {
                "Status": "exited",
                "ExitCode": 137,
                "OOMKilled": True,
                "FinishedAt": "1970-01-01T00:00:09Z",
                "StartedAt": "1970-01-01T00:00:02Z",
                "Pid": 0,
                "Error": "e",
            },
            "Config": {"Image": "acme/x:1", "Labels": None},
            "NetworkSettings": {
                "Ports": {
                    "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}],
                    "53/udp": [{"HostPort": "1"}],
                    "9/tcp": None,
                },
                "Networks": {"n": {"IPAddress": "10.0.0.2"}, "empty": {"IPAddress": ""}},
            },
        },
        {"sha256:i": "sha256:d"},
    )
    assert (found.id, found.name, found.state, found.exit_code, found.oom) == (
        "abc",
        "pod",
        "exited",
        137,
        True,
    )
    assert (found.image, found.image_digest, found.labels) == ("acme/x:1", "sha256:d", {})
    assert (found.created_at, found.started_at, found.finished_at) == (1.5, 2.0, 9.0)
    assert (found.ports, found.addresses) == ({8000: 32768}, {"n": "10.0.0.2"})


def test_events_that_matter_and_those_that_do_not() -> None:
    died = {"ID": "i", "Name": "n", "Status": "died", "ContainerExitCode": 3, "Time": "1970-01-01T00:00:03Z",
            "Attributes": {"a": "b"}}  # fmt: skip
    event = parse.podman_event(died)
    assert event is not None
    assert (event.kind, event.id, event.name, event.exit_code, event.at) == ("exited", "i", "n", 3, 3.0)
    assert event.labels == {"a": "b"}
    assert parse.podman_event({**died, "Status": "exec_died"}) is None
    attributes = {"name": "n", "exitCode": "0", "image": "x", "a": "b"}
    line = {"Action": "die", "Actor": {"ID": "i", "Attributes": attributes}, "timeNano": 2_500_000_000}  # fmt: skip
    event = parse.docker_event(line)
    assert event is not None
    assert (event.kind, event.exit_code, event.at, event.labels) == ("exited", 0, 2.5, {"a": "b"})
    assert parse.docker_event({**line, "Action": "exec_create: ls"}) is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Error: no such container x", ContainerNotFoundError),
        ('Error: no container with name or ID "x" found: no such container', ContainerNotFoundError),
        ("Error response from daemon: No such container: x", ContainerNotFoundError),
        ("Error: localhost/x:1: image not known", ImageNotFoundError),
        ("Error: No such image: x:1", ImageNotFoundError),
        (
            "Error: initializing source docker://r/x:1: reading manifest 1 in r/x: manifest unknown",
            ImageNotFoundError,
        ),
        ('creating container storage: the container name "a" is already in use by b', NameInUseError),
        ('Conflict. The container name "/a" is already in use by container "b"', NameInUseError),
        (
            "Error: initializing source docker://r/x:1: unauthorized: authentication required",
            ImageAccessError,
        ),
        ("denied: requested access to the resource is denied", ImageAccessError),
        (
            'pinging container registry r: Get "https://r/v2/": dial tcp: lookup r: no such host',
            RegistryUnreachableError,
        ),
        ("http: server gave HTTP response to HTTPS client", RegistryUnreachableError),
        (
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            EngineUnavailableError,
        ),
        ('runc: exec: "x": executable file not found in $PATH: OCI runtime attempted', StartError),
        ("Error: statfs /nowhere: no such file or directory", StartError),
        ("driver failed programming: Bind for 127.0.0.1:80 failed: port is already allocated", StartError),
        ("something else entirely", EngineError),
    ],
)
def test_each_failure_has_its_error_with_the_engines_words_and_a_remedy(
    words: str, error: type[EngineError]
) -> None:
    found = failure("do it", f'time="x" level=warning msg="noise: no such container"\n{words}')
    assert type(found) is error
    assert found.stderr == words
    assert found.remedy
    assert str(found).startswith(str(error.__doc__).splitlines()[0])
    assert "do it" in str(found)


async def test_a_command_is_ended_at_its_timeout_with_all_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = Command(("sh", "-c", f"sleep 60 & echo $! >{pid_file}; echo said >&2; wait"))
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError, match="said"):
        await call(command, attempted="sleep", timeout=0.3)
    assert time.monotonic() - began < 5
    await gone(int(pid_file.read_text()))


async def test_what_ends_slowly_keeps_nobody_from_being_looked_at(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    program.write_text('#!/bin/sh\n[ "$1" = stop ] && touch "$0.$4" && exec sleep 30\necho "[]"\n')
    program.chmod(0o755)
    engine = ContainerCommands(Tool("docker", str(program), HostLimits(1024, 1024)), concurrency=1)
    async with anyio.create_task_group() as tasks:
        for name in ("a", "b"):
            tasks.start_soon(engine.stop, name, 30)
        with anyio.fail_after(10):
            while len(list(tmp_path.glob("engine.*"))) < 2:
                await anyio.sleep(0.01)
            assert await engine.list({"a": "b"}) == []
        tasks.cancel_scope.cancel()


async def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = Command(("sh", "-c", f"echo $$ >{pid_file}; exec sleep 60"))
    task = asyncio.create_task(call(command, attempted="sleep", timeout=None))
    while not (pid_file.exists() and pid_file.read_text().strip()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(int(pid_file.read_text()))


async def gone(pid: int) -> None:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


async def test_output_is_bounded_and_the_end_of_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "OUTPUT_LIMIT", 1000)
    done = await call(Command(("sh", "-c", "yes x | head -c 100000; echo end")), attempted="talk", timeout=10)
    assert len(done.stdout) == 1000
    assert done.stdout.endswith(b"end\n")


async def test_lines_longer_than_the_limit_come_in_pieces() -> None:
    command = Command(("sh", "-c", "head -c 3000000 /dev/zero; echo; echo last"))
    pieces = [piece async for piece in process.lines(command, attempted="talk")]
    assert pieces[-1] == b"last\n"
    assert b"".join(pieces) == b"\0" * 3_000_000 + b"\nlast\n"


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(EngineUnavailableError, match="no such program"):
        await call(Command(("no-such-engine",)), attempted="look", timeout=1)


async def test_standard_input_is_given_even_if_nobody_reads_it() -> None:
    done = await call(Command(("cat",)), attempted="copy", timeout=10, stdin=b"x" * 300_000)
    assert done.stdout == b"x" * 300_000
    assert (
        await call(Command(("true",)), attempted="ignore", timeout=10, stdin=b"x" * 300_000)
    ).returncode == 0


def test_lines_are_cut_from_chunks() -> None:
    lines: list[str] = []
    sink = LineSink(lines.append)
    for chunk in (b"one\ntw", b"o\r\nthree\rfo", b"ur"):
        sink(1, chunk)
    sink(2, b"other\n")
    sink.close()
    assert lines == ["one", "two", "three", "other", "four"]
    assert sink.text == "one\ntwo\nthree\nother\nfour"


def test_what_is_kept_for_an_error_has_no_colours() -> None:
    lines: list[str] = []
    sink = LineSink(lines.append)
    sink(2, b"\x1b[91mERROR: no uv\n\x1b[0m\n")
    assert lines == ["\x1b[91mERROR: no uv", "\x1b[0m"]
    assert sink.text == "ERROR: no uv"


async def test_choosing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (await choose_engine("fake")).name == "fake"
    with pytest.raises(EngineUnavailableError, match="auto, docker, podman, fake"):
        await choose_engine("lxc")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailableError, match="not installed") as caught:
        await choose_engine("auto")
    assert "apt-get install" in caught.value.remedy
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\necho 9.9\n")
    program.chmod(0o755)
    assert (await choose_engine("auto")).name == "podman"
    assert [(d.name, d.usable, d.version) for d in await detect()] == [
        ("docker", False, ""),
        ("podman", True, "9.9"),
    ]
    imitation = tmp_path / "docker"
    imitation.symlink_to(program)
    assert (await choose_engine("auto")).name == "podman"
    imitation.unlink()
    imitation.write_text("#!/bin/sh\necho 28.1\n")
    imitation.chmod(0o755)
    assert (await choose_engine("auto")).name == "docker"
    assert (await choose_engine("podman")).name == "podman"


async def test_the_fake_is_scripted_by_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        "images:\n"
        "  ghcr.io/acme/*:\n"
        "  - env: {BREAK: 1}\n"
        "    outputs: [broken, {text: why, stream: stderr}]\n"
        "    exit_after: 0.01\n"
        "    exit_code: 7\n"
        "  - execs: {'ls *': {stdout: a}}\n"
    )
    engine = await choose_engine(f"fake:{script}")
    from windlass.engine import ContainerSpec

    await engine.pull("ghcr.io/acme/x:1")
    with pytest.raises(ImageNotFoundError):
        await engine.pull("docker.io/library/x:1")
    bad = await engine.run(ContainerSpec("bad", "ghcr.io/acme/x:1", env={"BREAK": "1"}))
    assert await engine.wait(bad) == 7
    assert [line async for line in engine.logs(bad)] == [b"broken\n", b"why\n"]
    good = await engine.run(ContainerSpec("good", "ghcr.io/acme/x:1"))
    assert (await engine.exec(good, ["ls", "/"])).stdout == b"a"
    await engine.aclose()
    script.write_text("images: [1]")
    with pytest.raises(EngineError, match=r"script\.yaml"):
        await choose_engine(f"fake:{script}")
