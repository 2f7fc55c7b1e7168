"""docker/login-action, setup-buildx-action and setup-qemu-action."""

from __future__ import annotations

import base64
import json
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.runner.actions.base import ActionRun
    from windlass.runner.state import JobState

HUB = "docker.io"


def auth_file(state: JobState) -> Path:
    """Return the job's registry credentials, readable for the runner only and never shown to a step."""
    return state.paths.files.host.parent / "auth" / "config.json"


def mapped(registry: str, mirrors: dict[str, str]) -> str:
    """Return the registry that stands for this one here."""
    return mirrors.get(registry, registry)


def record_login(state: JobState, registry: str, username: str, password: str) -> None:
    """Keep credentials for this job's builds, and show its steps a copy under DOCKER_CONFIG."""
    path = auth_file(state)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"auths": {}}
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    state.masker.add(password)
    state.masker.add(auth)
    for name in {registry, mapped(registry, state.spec.mirrors)}:
        known["auths"][name] = {"auth": auth}
    _write(path, known)
    _write(state.paths.temp.host / "_docker" / "config.json", known)
    state.env["DOCKER_CONFIG"] = f"{state.paths.temp.inside}/_docker"
    state.env["REGISTRY_AUTH_FILE"] = f"{state.paths.temp.inside}/_docker/config.json"


def write_credentials(state: JobState, name: str, registry: str, username: str, password: str) -> Path:
    """Write credentials for one fetch into a file of their own, which only the runner reads."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    state.masker.add(auth)
    path = auth_file(state).parent / name / "config.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {registry, mapped(registry, state.spec.mirrors)}
    _write(path, {"auths": {one: {"auth": auth} for one in names}})
    return path


def forget_login(state: JobState, registry: str) -> None:
    """Drop the credentials for a registry."""
    path = auth_file(state)
    if path.exists():
        known = json.loads(path.read_text())
        for name in {registry, mapped(registry, state.spec.mirrors)}:
            known["auths"].pop(name, None)
        _write(path, known)


def _write(path: Path, data: dict[str, Any]) -> None:
    """Write the file anew, so that a link which a step left in its place is not followed."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        temporary = f".{path.name}.new"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "w") as stream:
            json.dump(data, stream)
        os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


class Login(BuiltIn):
    """Credentials for a registry, for this job only."""

    names = ("docker/login-action",)
    about = (
        "Records credentials for a registry for the rest of this job, in a file that only the runner reads."
    )
    has_post = True
    inputs = (
        Input("registry", "host of the registry; Docker Hub by default"),
        Input("username", "the user"),
        Input("password", "the password or token"),
        Input(
            "ecr", "credentials of Amazon's service are not fetched", "auto", honour="error", fine=("false",)
        ),
        Input("logout", "whether the credentials are dropped at the end of the job", "true"),
        Input("scope", "the credentials count for the whole registry", honour="warn"),
        Input("registry-auth", "use one step for each registry", honour="error"),
    )

    def main(self, run: ActionRun) -> None:
        """Record them."""
        registry = run.text("registry").removeprefix("https://").removeprefix("http://").strip("/") or HUB
        username, password = run.text("username"), run.text("password")
        if not username or not password:
            raise StepError("Username and password required")
        record_login(run.state, registry, username, password)
        stands = mapped(registry, run.state.spec.mirrors)
        run.say(
            f"Credentials for {registry} are kept for this job"
            + (f" ({stands} here)" if stands != registry else "")
        )
        run.memory["registry"] = registry

    def post(self, run: ActionRun) -> None:
        """Drop them."""
        registry = run.memory.get("registry")
        if registry and run.flag("logout"):
            forget_login(run.state, registry)
            run.say(f"Credentials for {registry} are gone")


class SetupBuildx(BuiltIn):
    """Nothing to set up: images are built by the machine's engine."""

    names = ("docker/setup-buildx-action",)
    about = "Images are built by the machine's own engine, so there is no builder to set up."
    inputs = (
        Input("version", "the engine's own builder is used", honour="warn"),
        Input(
            "driver", "the engine's own builder is used", "docker-container", honour="warn", fine=("docker",)
        ),
        Input("driver-opts", "the engine's own builder is used", honour="warn"),
        Input("buildkitd-flags", "the engine's own builder is used", honour="warn"),
        Input("buildkitd-config", "the engine's own builder is used", honour="warn"),
        Input("buildkitd-config-inline", "the engine's own builder is used", honour="warn"),
        Input("config", "the engine's own builder is used", honour="warn"),
        Input("config-inline", "the engine's own builder is used", honour="warn"),
        Input("install", "the engine's own builder is used", "false", honour="warn"),
        Input("use", "the engine's own builder is used", "true", honour="warn"),
        Input("name", "the engine's own builder is used", honour="yes"),
        Input("endpoint", "the engine's own builder is used", honour="error"),
        Input("platforms", "only the machine's own platform is built", honour="warn"),
        Input("append", "more than one builder is not supported", honour="error"),
        Input("cache-binary", "nothing is downloaded", "true", honour="yes"),
        Input("cleanup", "there is nothing to clean up", "true", honour="yes"),
        Input("keep-state", "there is no builder's state", "false", honour="yes"),
    )
    outputs = MappingProxyType(
        {"name": "the builder", "driver": "docker", "platforms": "the machine's platform"}
    )

    def main(self, run: ActionRun) -> None:
        """Say so."""
        run.output("name", run.text("name") or "default")
        run.output("driver", "docker")
        run.output("platforms", machine_platform())
        run.say(f"Images are built by {run.state.spec.engine} for {machine_platform()}")


class SetupQemu(BuiltIn):
    """Nothing to set up: there is no emulation."""

    names = ("docker/setup-qemu-action",)
    about = "There is no emulation here: a build for a foreign platform fails in the step that asks for it."
    inputs = (
        Input("image", "nothing is installed", honour="yes"),
        Input("platforms", "nothing is emulated; builds for other platforms fail", "all", honour="warn"),
        Input("cache-image", "nothing is installed", "true", honour="yes"),
        Input("reset", "nothing is installed", "false", honour="yes"),
    )
    outputs = MappingProxyType({"platforms": "the machine's platform"})

    def main(self, run: ActionRun) -> None:
        """Say so."""
        run.output("platforms", machine_platform())
        run.say(f"Only {machine_platform()} can be built here")


def machine_platform() -> str:
    """Return this machine's platform as images name it."""
    import platform

    machine = platform.machine().lower()
    names = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    return f"linux/{names.get(machine, machine)}"
