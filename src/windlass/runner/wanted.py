"""What `container:` and `services:` of a job ask for, read into records; pure. What is not safe is refused."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from windlass.engine import Port
from windlass.runner.errors import StepError
from windlass.runner.state import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
HONOURED = (
    "--cpus, --memory, --user, --hostname, --workdir, --env, --entrypoint, --init, --cap-drop, --ulimit and "
    "--health-cmd, -interval, -timeout, -retries, -start-period"
)


@dataclass(frozen=True, slots=True)
class Health:
    """How to tell that a service is ready; times in seconds."""

    command: str
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One container. `volumes` are (source, target, read only), the source "" for an anonymous one."""

    image: str
    env: dict[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    volumes: tuple[tuple[str, str, bool], ...] = ()
    username: str = ""
    password: str = ""
    health: Health | None = None
    cpus: float = 0.0
    memory: int = 0
    user: str = ""
    hostname: str = ""
    workdir: str = ""
    init: bool = False
    cap_drop: tuple[str, ...] = ()
    ulimits: tuple[tuple[str, int, int], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None


def wanted(what: str, given: Any) -> Wanted | None:
    """Read a container or service whose expressions are evaluated; None where the image is empty.

    `what` names it in errors. Raises `StepError`.
    """
    data: Mapping[str, Any] = given if isinstance(given, dict) else {"image": given}
    image = plain(data.get("image")).strip().removeprefix("docker://")
    if not image:
        return None
    credentials = data.get("credentials") or {}
    options = _options(what, plain(data.get("options")))
    entrypoint = _words(what, plain(data.get("entrypoint")) or options.entrypoint or "")
    return Wanted(
        image=image,
        env=_env(options.env) | {str(key): plain(value) for key, value in (data.get("env") or {}).items()},
        ports=tuple(_port(what, plain(one)) for one in data.get("ports") or ()),
        volumes=tuple(_volume(what, plain(one)) for one in data.get("volumes") or ()),
        username=plain(credentials.get("username")),
        password=plain(credentials.get("password")),
        health=_health(what, options),
        cpus=options.cpus,
        memory=_bytes(what, options.memory),
        user=options.user,
        hostname=options.hostname,
        workdir=options.workdir,
        init=options.init,
        cap_drop=tuple(options.cap_drop),
        ulimits=tuple(_ulimit(what, one) for one in options.ulimit),
        entrypoint=entrypoint or None,
        command=_words(what, plain(data.get("command"))) or None,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _options(what: str, text: str) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for names in (("--user", "-u"), ("--hostname", "-h"), ("--workdir", "-w"), ("--memory", "-m")):
        parser.add_argument(*names, default="")
    for name in (
        "--health-cmd",
        "--health-interval",
        "--health-timeout",
        "--health-start-period",
        "--entrypoint",
    ):
        parser.add_argument(name, default="")
    parser.add_argument("--health-retries", type=int, default=3)
    parser.add_argument("--cpus", type=float, default=0.0)
    parser.add_argument("--init", action="store_true")
    for repeated in (("--env", "-e"), ("--cap-drop",), ("--ulimit",)):
        parser.add_argument(*repeated, action="append", default=[])
    try:
        known, rest = parser.parse_known_args(shlex.split(text))
    except (ValueError, argparse.ArgumentError) as error:
        raise StepError(f"{what}: options: {error}") from error
    if rest:
        raise StepError(
            f"{what}: options: {rest[0]} is not taken: it would reach beyond the job, or has no meaning here. "
            f"Taken are {HONOURED}."
        )
    return known


def _health(what: str, options: argparse.Namespace) -> Health | None:
    if not options.health_cmd or options.health_cmd.lower() == "none":
        return None
    default = Health(options.health_cmd)
    return Health(
        options.health_cmd,
        _seconds(what, options.health_interval, default.interval),
        _seconds(what, options.health_timeout, default.timeout),
        options.health_retries,
        _seconds(what, options.health_start_period, default.start_period),
    )


def _port(what: str, text: str) -> Port:
    rest, _, protocol = text.partition("/")
    host, colon, container = rest.rpartition(":")
    numbers: tuple[str, str] = (container, host if colon else "0")
    if protocol not in {"", "tcp", "udp"} or not all(one.isdecimal() and int(one) < 65536 for one in numbers):
        raise StepError(f"{what}: ports: {text!r} is not CONTAINER or HOST:CONTAINER, with /tcp or /udp")
    return Port(int(container), int(numbers[1]), "udp" if protocol == "udp" else "tcp")


def _volume(what: str, text: str) -> tuple[str, str, bool]:
    parts = text.split(":")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    mode = parts[2] if len(parts) == 3 else ""
    if len(parts) > 3 or not target.startswith("/") or mode not in {"", "ro", "rw"}:
        raise StepError(f"{what}: volumes: {text!r} is not [SOURCE:]/TARGET[:ro]")
    return source, target, mode == "ro"


def _ulimit(what: str, text: str) -> tuple[str, int, int]:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    if not soft.isdecimal() or not (hard or soft).isdecimal():
        raise StepError(f"{what}: options: --ulimit {text!r} is not NAME=SOFT[:HARD]")
    return name, int(soft), int(hard or soft)


def _bytes(what: str, text: str) -> int:
    number, unit = text.rstrip("bkmgBKMG"), text[len(text.rstrip("bkmgBKMG")) :].lower()
    if not text:
        return 0
    if not number.isdecimal() or unit not in _UNITS:
        raise StepError(f"{what}: options: --memory {text!r} is not a size such as 512m")
    return int(number) * _UNITS[unit]


def _seconds(what: str, text: str, default: float) -> float:
    if not text:
        return default
    number = text.rstrip("msh")
    try:
        return float(number) * _SECONDS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise StepError(f"{what}: options: {text!r} is not a time such as 10s") from None


def _env(lines: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _words(what: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise StepError(f"{what}: {text!r} cannot be read: {error}") from error
