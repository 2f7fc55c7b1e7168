"""Argument vectors of a build: pure functions, one for each driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.engine.cli.argv import OWN_VARIABLES
from windlass.engine.cli.limits import ulimits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windlass.engine.cli import Tool
    from windlass.engine.cli.process import Command
    from windlass.images.request import BuildRequest

_AID = "windlass-aid-"


PROXIES = tuple(
    spelling
    for name in ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy")
    for spelling in (name, name.upper())
)


@dataclass(frozen=True, slots=True)
class Paths:
    """Files of one build: Dockerfile (perhaps rewritten), where the image's id goes, runtime, aids by name."""

    dockerfile: Path
    iid_file: Path
    runtime: Path | None = None
    aids: Mapping[str, Path] | None = None


def podman(tool: Tool, request: BuildRequest, paths: Paths, *, auth_file: Path | None) -> Command:
    """Build with podman; `oci` isolation is as fast as it gets (see docs/engines.md) and keeps RUN from the host."""
    arguments = ["build", "--isolation", "oci", "--layers", "--force-rm"]
    if paths.runtime:
        arguments += ["--runtime", str(paths.runtime)]
    for name, soft, hard in ulimits((), tool.limits):
        arguments += ["--ulimit", f"{name}={soft}:{hard}"]
    if request.timestamp is not None:
        arguments += ["--timestamp", str(request.timestamp)]
    if auth_file:
        arguments += ["--authfile", str(auth_file)]
    return _finish(tool, arguments, request, paths)


def docker(
    tool: Tool,
    request: BuildRequest,
    paths: Paths,
    *,
    buildkit: str,
    auth_file: Path | None,
    proxies: tuple[str, ...] = (),
) -> Command:
    """Build with docker; `buildkit` is "buildx", "builtin" (clients before 23) or "" for the old builder.

    `proxies` are names of this process's variables: docker's own arguments for RUN, which it never records.
    """
    arguments = ["buildx", "build", "--load"] if buildkit == "buildx" else ["build"]
    env = {"DOCKER_BUILDKIT": "1" if buildkit else "0"}
    arguments += [part for name in proxies for part in ("--build-arg", name)]
    if auth_file:
        env["DOCKER_CONFIG"] = str(auth_file.parent)
    if buildkit:
        arguments += ["--progress", "plain"]
        for name, file in sorted((paths.aids or {}).items()):
            arguments += ["--secret", f"id={secret_id(name)},src={file}"]
        if request.timestamp is not None:
            arguments += ["--build-arg", f"SOURCE_DATE_EPOCH={request.timestamp}"]
    return _finish(tool, arguments, request, paths, env)


def secret_id(name: str) -> str:
    """Name the secret that carries an aid's file."""
    return _AID + name.replace("/", "-")


def secret_mounts(names: list[str], place: str) -> list[str]:
    """Spell the flags on RUN that show the aids."""
    return [
        f"--mount=type=secret,id={secret_id(name)},target={place}/{name},mode=0444" for name in sorted(names)
    ]


def _finish(
    tool: Tool,
    arguments: list[str],
    request: BuildRequest,
    paths: Paths,
    env: Mapping[str, str] | None = None,
) -> Command:
    arguments += ["--file", str(paths.dockerfile), "--iidfile", str(paths.iid_file)]
    arguments += [part for tag in request.tags for part in ("--tag", tag)]
    arguments += _pairs("--label", request.labels)
    for flag, value in (
        ("--target", request.target),
        ("--network", request.network),
        ("--platform", ",".join(request.platforms)),
    ):
        arguments += [flag, value] if value else []
    arguments += [part for image in request.cache_from for part in ("--cache-from", image)]
    arguments += ["--no-cache"] if request.no_cache else []
    arguments += [part for name, address in request.add_hosts for part in ("--add-host", f"{name}:{address}")]
    for name, file in sorted(request.secrets.items()):
        arguments += ["--secret", f"id={name},src={file}"]
    hidden = {name: value for name, value in request.build_args.items() if name not in OWN_VARIABLES}
    arguments += [part for name in sorted(hidden) for part in ("--build-arg", name)]
    arguments += _pairs("--build-arg", {n: v for n, v in request.build_args.items() if n in OWN_VARIABLES})
    return tool.command(*arguments, str(request.context), env={**hidden, **(env or {})})


def _pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    return [part for name, value in sorted(values.items()) for part in (flag, f"{name}={value}")]
