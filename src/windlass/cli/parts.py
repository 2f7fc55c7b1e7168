"""The parts of other people's that Windlass drives, and how each is looked at."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman", "/usr/local/sbin")
ENGINES = ("auto", "podman", "docker", "fake")
VERSION = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class Part:
    """A program that Windlass uses: what for, how it tells its version, which package carries it."""

    name: str
    purpose: str
    programs: tuple[str, ...]
    version: tuple[str, ...]
    package: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a part. `path` is None when it is missing."""

    part: Part
    path: str | None
    version: str
    source: str
    fix: str


PARTS = (
    Part("git", "hosting, clones, commits", ("git",), ("--version",), "git"),
    Part("HAProxy", "the edge", ("haproxy",), ("-v",), "haproxy"),
    Part("bubblewrap", "job sandboxes", ("bwrap",), ("--version",), "bubblewrap"),
    Part("podman", "containers and image builds", ("podman",), ("--version",), "podman"),
    Part("runc", "podman's runtime", ("runc", "crun"), ("--version",), "runc"),
    Part("netavark", "podman's networks", ("netavark",), ("--version",), "netavark"),
    Part("aardvark-dns", "podman's names", ("aardvark-dns",), ("--version",), "aardvark-dns"),
    Part("iptables", "podman's networks", ("iptables",), ("--version",), "iptables"),
    Part(
        "mmdebstrap",
        "base images where no registry answers",
        ("mmdebstrap",),
        ("--version",),
        "mmdebstrap",
        needed=False,
    ),
    Part("Node.js", "JavaScript actions", ("node",), ("--version",), "nodejs", needed=False),
    Part(
        "kubectl",
        "looking into the cluster",
        ("kubectl",),
        ("version", "--client"),
        "kubernetes-client",
        needed=False,
    ),
)
PODMAN_PARTS = {"podman", "runc", "netavark", "aardvark-dns", "iptables"}


def locate(program: str) -> str | None:
    """Find a program on the PATH, or where the system keeps what is not on a user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    return shutil.which(program, path=path)


def ask(command: list[str]) -> str | None:
    """Run a command that only tells, and return what it said; None when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout + done.stderr).strip() if done.returncode == 0 else None


def source_of(path: str) -> str:
    """Say where a program comes from: a distribution's package, the virtual environment, or just its folder."""
    if path.startswith(sys.prefix):
        return "virtual environment"
    real = str(Path(path).resolve())
    for candidate in dict.fromkeys((path, real, real.removeprefix("/usr"))):
        owner = ask(["dpkg", "-S", candidate]) if shutil.which("dpkg") else None
        if owner:
            return f"package {owner.partition(':')[0]}"
    return str(Path(path).parent)


def how_to_install(package: str) -> str:
    """Return the command that installs a package here."""
    if shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"{sudo}apt-get install -y --no-install-recommends {package}"
    if shutil.which("brew"):
        return f"brew install {package}"
    return f"install {package} with this machine's package manager"


def docker() -> Finding | None:
    """Return what is known of Docker, if its daemon answers."""
    path = locate("docker")
    if path is None:
        return None
    answer = ask([path, "info", "--format", "{{.ServerVersion}}"])
    part = Part("docker", "containers and image builds", ("docker",), (), "docker.io")
    return Finding(part, path, answer.splitlines()[-1], source_of(path), "") if answer else None


def examine(part: Part) -> Finding:
    """Look for one part."""
    path = next((found for program in part.programs if (found := locate(program))), None)
    if path is None:
        return Finding(part, None, "", "", how_to_install(part.package))
    told = VERSION.search(ask([path, *part.version]) or "")
    return Finding(part, path, told.group() if told else "?", source_of(path), "")


def survey() -> list[Finding]:
    """Look at everything. Where Docker answers, podman and its parts are not needed and left out."""
    engine = docker()
    wanted = [part for part in PARTS if not (engine and part.name in PODMAN_PARTS)]
    if sys.platform == "darwin":
        wanted = [part for part in wanted if part.name not in {"bubblewrap", "iptables", "mmdebstrap"}]
    return ([engine] if engine else []) + [examine(part) for part in wanted]
