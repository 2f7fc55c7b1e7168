"""Which engine this machine has, and the one to use: Docker if its daemon answers, else podman."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.engine.cli import CliEngine, Tool
from windlass.engine.cli.limits import host_limits
from windlass.engine.cli.process import Command, call
from windlass.engine.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.engine.port import Engine

_INSTALL = "apt-get install --no-install-recommends podman runc netavark aardvark-dns iptables"


@dataclass(frozen=True, slots=True)
class Detected:
    """An engine looked for on this machine: usable or not, its version, where from, and why or what helps."""

    name: str
    usable: bool
    version: str = ""
    program: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What of the machine decides podman's flags."""

    systemd: bool
    cgroup_v2: bool
    runtimes: tuple[str, ...]


def machine_facts() -> Facts:
    """Look at the machine."""
    return Facts(
        systemd=Path("/run/systemd/system").is_dir(),
        cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        runtimes=tuple(name for name in ("crun", "runc") if shutil.which(name)),
    )


def podman_flags(facts: Facts) -> tuple[str, ...]:
    """Choose the flags before each podman command; they never change the machine's own configuration."""
    flags = ["--log-level", "error"]
    if not facts.systemd:
        flags += ["--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    if not facts.cgroup_v2 and "runc" in facts.runtimes:
        flags += ["--runtime", "runc"]  # crun refuses the hybrid hierarchy
    return tuple(flags)


def podman(flags: Sequence[str] = (), *, program: str = "podman") -> CliEngine:
    """Drive podman with the flags this machine needs, and more if given."""
    return CliEngine(Tool("podman", program, host_limits(), (*podman_flags(machine_facts()), *flags)))


def docker(host: str = "", *, program: str = "docker", env: Mapping[str, str] | None = None) -> CliEngine:
    """Drive docker, at a `host` such as unix:///run/docker.sock or wherever its client goes by itself."""
    flags = ("--host", host) if host else ()
    return CliEngine(Tool("docker", program, host_limits(), flags, env or {}))


async def detect() -> list[Detected]:
    """Look for both engines, the preferred one first; takes at most a few seconds."""
    return [await _detect_docker(), await _detect_podman()]


async def choose_engine(preference: str = "auto") -> Engine:
    """Open the engine by name ("podman", "docker", "fake", "fake:SCRIPT.yaml"), or the best there is ("auto").

    Raises `EngineUnavailableError` with what is missing and how to get it.
    """
    if preference == "fake" or preference.startswith("fake:"):
        from windlass.engine.fake import FakeEngine

        script = preference.partition(":")[2]
        return FakeEngine.from_file(Path(script)) if script else FakeEngine()
    if preference not in {"auto", "", "podman", "docker"}:
        raise EngineUnavailableError(
            f"use the engine {preference!r}",
            remedy="name one of auto, docker, podman, fake or fake:SCRIPT.yaml",
        )
    looked = [await look() for name, look in _LOOKS.items() if preference in {"auto", "", name}]
    for found in looked:
        if found.usable:
            return docker() if found.name == "docker" else podman()
    raise EngineUnavailableError(
        "find a container engine",
        stderr="; ".join(f"{found.name}: {found.reason}" for found in looked),
        remedy="; or ".join(found.remedy for found in looked if found.remedy),
    )


async def _detect_docker() -> Detected:
    if os.environ.get("DOCKER_HOST", "").endswith("podman.sock"):
        return Detected("docker", usable=False, reason="DOCKER_HOST is podman's socket")
    return await _detect(
        "docker",
        ("version", "--format", "{{.Server.Version}}"),
        remedy="start its daemon (systemctl start docker)",
    )


async def _detect_podman() -> Detected:
    return await _detect("podman", ("version", "--format", "{{.Client.Version}}"), remedy=_INSTALL)


_LOOKS = {"docker": _detect_docker, "podman": _detect_podman}


async def _detect(name: str, arguments: tuple[str, ...], *, remedy: str) -> Detected:
    program = shutil.which(name)
    if program is None:
        return Detected(name, usable=False, reason="not installed", remedy=remedy)
    if name == "docker" and _real_name(program).startswith("podman"):
        return Detected(name, usable=False, program=program, reason="is podman under another name")
    try:
        done = await call(Command((program, *arguments)), attempted=f"ask {name} for its version", timeout=5)
    except EngineError as error:
        return Detected(name, usable=False, program=program, reason=str(error), remedy=remedy)
    version = done.text.strip()
    if done.returncode or not version:
        return Detected(name, usable=False, program=program, reason=done.complaint, remedy=remedy)
    if name == "docker" and "podman" in done.complaint.lower():
        return Detected(name, usable=False, program=program, reason="is podman under another name")
    return Detected(name, usable=True, version=version, program=program)


def _real_name(program: str) -> str:
    return Path(program).resolve().name
