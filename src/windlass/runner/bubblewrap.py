"""The sandbox over the host: what of the machine a job sees."""

from __future__ import annotations

import functools
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.enter import can_enter
from windlass.runner.errors import SandboxUnavailableError
from windlass.runner.paths import home_inside, own_places
from windlass.runner.shared import keep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.runner.paths import Paths

USER = 1001  # of GitHub's `runner`
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "snap")
_CERTIFICATES = (
    "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)  # fmt: skip
_PRIVATE_LIMIT = 20_000
_PRIVATE_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine every sandbox shows. All paths exist."""

    system: tuple[tuple[str, str], ...]
    """Directories at the top, with the target of those that are links ("" for directories)."""
    read_only: tuple[str, ...]
    """Further directories and files: Windlass and its Python, certificates, what the operator named."""
    private: tuple[str, ...]
    """What in them not everyone on the machine may read; hidden, because root would read it."""
    user_namespace: bool
    enter: bool = False
    """Whether a fork of the runner can join a sandbox, so that no Python need start in it."""


def arguments(machine: Machine, paths: Paths, data: Path, job: Path) -> list[str]:
    """Return bubblewrap's options for one job: deny everything, then show what is listed.

    `data` is Windlass' data directory, hidden wherever it lies; `job` the job's own directory in it, which has
    `tmp`.
    """
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    options += ["--as-pid-1", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if machine.user_namespace:
        options += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    for path, target in machine.system:
        options += ["--symlink", target, path] if target else ["--ro-bind", path, path]
    options += ["--dev", "/dev", "--proc", "/proc", "--ro-bind-try", "/sys", "/sys", "--tmpfs", "/run"]
    options += ["--tmpfs", "/var", "--bind", f"{job}/tmp", "/tmp", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    for path in machine.private:
        options += ["--tmpfs", path] if Path(path).is_dir() else ["--ro-bind", os.devnull, path]
    for path in machine.read_only:
        options += ["--ro-bind", path, path]
    shown = [path for path, target in machine.system if not target] + list(machine.read_only)
    if any(data == Path(path) or Path(path) in data.parents for path in shown):
        options += ["--tmpfs", str(data)]
    for name in ("passwd", "group"):
        options += ["--ro-bind", str(_people(data) / name), f"/etc/{name}"]
    for place in (paths.home, paths.workspace, paths.temp, paths.files, paths.tools, paths.actions):
        options += ["--bind", str(place.host), place.inside]
    return [*options, "--ro-bind", str(paths.bin.host), paths.bin.inside, "--chdir", paths.home.inside]


def prepare(data: Path, job: Path) -> None:
    """Write what `arguments` expects in the data directory and in the job's own."""
    keep_people(data)
    (job / "tmp").mkdir(exist_ok=True)
    (job / "tmp").chmod(0o1777)


def keep_people(data: Path) -> Path:
    """Return the directory with the `passwd` and `group` that jobs see."""
    home = home_inside()
    users = f"root:x:0:0:root:{home}:/bin/bash\nrunner:x:{USER}:{USER}:runner:{home}:/bin/bash\n"
    files = {
        "passwd": f"{users}nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
        "group": f"root:x:0:\nrunner:x:{USER}:\nnogroup:x:65534:\n",
    }
    return keep(_people(data), files)


def _people(data: Path) -> Path:
    return data / "run" / "people"


@functools.cache
def survey() -> Machine:
    """Look at this machine, and find the kind of sandbox that it can make.

    Raises `SandboxUnavailableError` with bubblewrap's own words where it can make none. The answer is kept
    for the life of the process: the fork server asks once, its jobs inherit it.
    """
    if shutil.which("bwrap") is None:
        raise SandboxUnavailableError(
            "bubblewrap (bwrap) is not on PATH: install it, or configure host isolation"
        )
    system = tuple(_system())
    shown = tuple(path for path, target in system if not target)
    machine = Machine(system, tuple(_read_only(shown)), tuple(_private(shown)), user_namespace=True)
    refusals = []
    for user_namespace in (True, False):
        refusal = _try(machine, user_namespace=user_namespace)
        if not refusal:
            found = replace(machine, user_namespace=user_namespace)
            return replace(found, enter=can_enter(probe(machine, user_namespace=user_namespace)))
        refusals.append(refusal)
    raise SandboxUnavailableError(
        f"bubblewrap cannot make a sandbox here: {'; '.join(dict.fromkeys(refusals))}. Allow user namespaces "
        "(or SYS_ADMIN and an unmasked /proc where this is a container), or configure host isolation."
    )


def probe(machine: Machine, *, user_namespace: bool) -> list[str]:
    """Return bubblewrap's options for the smallest sandbox in which a program of this machine starts."""
    options = ["--unshare-pid", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"]
    if user_namespace:
        options += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    for path, target in machine.system:
        options += ["--symlink", target, path] if target else ["--ro-bind", path, path]
    return [*options, "--dev", "/dev", "--proc", "/proc"]


def _try(machine: Machine, *, user_namespace: bool) -> str:
    result = subprocess.run(
        ["bwrap", *probe(machine, user_namespace=user_namespace), "true"],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (
        result.stderr.decode(errors="replace").strip() or f"exit code {result.returncode}"
        if result.returncode
        else ""
    )


def _system() -> Iterator[tuple[str, str]]:
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            yield str(path), str(path.readlink())
        elif path.is_dir():
            yield str(path), ""


def _read_only(shown: tuple[str, ...]) -> Iterator[str]:
    """Name what a job needs that lies outside of the system's directories."""
    wanted = [*own_places(), *(os.environ.get(name, "") for name in _CERTIFICATES)]
    wanted += os.environ.get("WINDLASS_SANDBOX_PATHS", "").split(":")
    resolver = os.path.realpath("/etc/resolv.conf")
    seen: list[str] = []
    for path in sorted(
        {path for path in [*wanted, resolver] if path.startswith("/") and Path(path).exists()}, key=len
    ):
        if not any(path == root or path.startswith(f"{root}/") for root in (*shown, *seen)):
            seen.append(path)
            yield path


def _private(shown: tuple[str, ...]) -> Iterator[str]:
    """Find what not everyone may read in the system's directories of configuration."""
    left = _PRIVATE_LIMIT
    queue = [(path, 0) for path in shown if path in {"/etc", "/opt"}]
    while queue and left > 0:
        directory, depth = queue.pop()
        for entry in _entries(directory):
            left -= 1
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                continue
            if not mode & stat.S_IROTH or (stat.S_ISDIR(mode) and not mode & stat.S_IXOTH):
                if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and _open_to_us(entry):
                    yield entry.path
            elif stat.S_ISDIR(mode) and depth < (_PRIVATE_DEPTH if directory.startswith("/etc") else 1):
                queue.append((entry.path, depth + 1))


def _open_to_us(entry: os.DirEntry[str]) -> bool:
    """Return whether the server's own user can, or could make itself able to, read this: then its jobs can as well."""
    owner = entry.stat(follow_symlinks=False).st_uid
    return os.geteuid() in {0, owner} or os.access(entry.path, os.R_OK) or os.access(entry.path, os.X_OK)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []
