"""Docker actions: an image that is fetched or built, run outside the sandbox with only the job's directories."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Literal

from windlass.engine import ContainerSpec, Mount
from windlass.runner.actions.base import Input
from windlass.runner.actions.library import Source
from windlass.runner.actions.repository import RepositoryAction
from windlass.runner.containers import attached, certificate_mounts, have_image, labels, name_for, open_engine
from windlass.runner.errors import StepError
from windlass.runner.state import plain
from windlass.workflow.expressions import Scope
from windlass.workflow.model import Action as Definition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.engine import Engine
    from windlass.runner.actions.base import ActionRun
    from windlass.runner.paths import Paths

_PREFIX = "docker://"
_TARGETS = {
    "workspace": "/github/workspace",
    "temp": "/github/runner_temp",
    "home": "/github/home",
    "files": "/github/file_commands",
    "tools": "/github/tools",
}
_OWN = ("GITHUB_", "RUNNER_")
_MACHINE = frozenset(
    {
        "PATH", "HOME", "USER", "SHELL", "LANG", "AGENT_TOOLSDIRECTORY", "GIT_TERMINAL_PROMPT", "RUNNER_WORKSPACE",
        "UV_CACHE_DIR", "UV_LINK_MODE", "PIP_CACHE_DIR", "npm_config_cache", "XDG_CONFIG_HOME",
    }
)  # fmt: skip


class DockerfileAction(RepositoryAction):
    """`using: docker`."""

    in_process = True

    def __init__(self, source: Source, definition: Definition) -> None:
        super().__init__(source, definition)
        self.inputs = (*self.inputs, Input("entrypoint"), Input("args"))

    @classmethod
    def bare(cls, source: Source) -> DockerfileAction:
        """Return the action that a directory with a Dockerfile and no `action.yml` is."""
        return cls(source, _definition(source.uses, "Dockerfile"))

    @property
    def has_pre(self) -> bool:
        """Whether there is a `pre-entrypoint`."""
        return bool(self.part("pre-entrypoint"))

    @property
    def has_post(self) -> bool:
        """Whether there is a `post-entrypoint`."""
        return bool(self.part("post-entrypoint"))

    def pre(self, run: ActionRun) -> None:
        """Run `pre-entrypoint`."""
        self._run(run, "pre")

    def main(self, run: ActionRun) -> None:
        """Run the image."""
        self.notice(run)
        self._run(run, "main")

    def post(self, run: ActionRun) -> None:
        """Run `post-entrypoint`."""
        self._run(run, "post")

    def _run(self, run: ActionRun, stage: Literal["pre", "main", "post"]) -> None:
        code = run.wait_for(self._contained(run, stage))
        run.step.output.finish()
        if code != 0:
            raise StepError(f"{self.source.uses} ended with exit code {code}.")

    async def _contained(self, run: ActionRun, stage: Literal["pre", "main", "post"]) -> int:
        engine = await open_engine(run.state)
        try:
            image = await self._image(engine, run)
            return await attached(engine, self._spec(run, stage, image), run.step.output.feed)
        finally:
            await engine.aclose()

    async def _image(self, engine: Engine, run: ActionRun) -> str:
        """Return the name of the image, after having it built or fetched."""
        given = self.part("image")
        if given.startswith(_PREFIX):
            image = given.removeprefix(_PREFIX)
            return await have_image(engine, run.state, image, run.say)
        if "image" not in run.memory:
            run.memory["image"] = await self._build(engine, run, given)
        return str(run.memory["image"])

    async def _build(self, engine: Engine, run: ActionRun, dockerfile: str) -> str:
        from pathlib import Path

        from windlass.engine import EngineError
        from windlass.images import BuildError, BuildRequest, ImagesError, build

        context = run.host_path(self.source.directory)
        file = run.host_path(f"{self.source.directory}/{dockerfile}")
        if not file.is_file():
            raise StepError(f"{self.source.uses}: there is no {dockerfile} in it")
        name = re.sub(r"[^a-z0-9]+", "-", (self.source.repository or "of-a-workspace").lower()).strip("-")
        tag = f"localhost/windlass-action/{name}:latest"  # run by its id; the name keeps the layers for the next build
        cache = Path(run.state.spec.tools) / "images"
        cache.mkdir(parents=True, exist_ok=True)
        request = BuildRequest(context=context, dockerfile=file, tags=(tag,))
        try:
            found = await build(engine, request, run.say, cache_dir=cache, mirrors=run.state.spec.mirrors)
        except BuildError as error:
            raise StepError("\n".join([str(error), *error.lines[-5:]])) from error
        except (EngineError, ImagesError) as error:
            raise StepError(str(error)) from error
        return found.image_id

    def _spec(self, run: ActionRun, stage: Literal["pre", "main", "post"], image: str) -> ContainerSpec:
        scope = Scope({"inputs": run.inputs})
        given = {name.lower(): value for name, value in run.given.items()}
        entrypoint = (given.get("entrypoint") or self.part("entrypoint")) if stage == "main" else ""
        entrypoint = entrypoint or ("" if stage == "main" else self.part(f"{stage}-entrypoint"))
        args = [run.state.text(item, scope) for item in self.definition.runs.get("args") or []]
        if "args" in given:
            args = _split(given["args"])
        env = {name: run.state.text(value, scope) for name, value in self.definition.env.items()}
        env = environment({**run.state.base, **self.variables(run), **env}, run.state.paths)
        return ContainerSpec(
            name=name_for(run.state.spec.id, "action"),
            image=image,
            entrypoint=(entrypoint,) if entrypoint else None,
            command=tuple(args) or None,
            env=env,
            labels=labels(run.state.spec),
            mounts=(*mounts(run.state.paths), *certificate_mounts(run.state.base)),
            network=run.state.network or "host",
            workdir=_TARGETS["workspace"],
        )


def ImageAction(uses: str, image: str) -> DockerfileAction:  # noqa: N802 - makes one
    """Return the action that `docker://IMAGE` is."""
    return DockerfileAction(Source(uses, ""), _definition(uses, f"{_PREFIX}{image}"))


def mounts(paths: Paths) -> tuple[Mount, ...]:
    """Return what a docker action sees of this machine: the job's directories, where GitHub has them.

    Only those that are mounted in the sandbox themselves: within them a step can put a link in any one's place,
    which the engine would follow.
    """
    return tuple(Mount(str(getattr(paths, name).host), target) for name, target in _TARGETS.items())


def environment(env: Mapping[str, str], paths: Paths) -> dict[str, str]:
    """Return a step's variables as they are true in the container: paths translated, the machine's own left out."""
    kept = container_variables(env)
    made = {
        name: translated(value, paths) if name.startswith(_OWN) else value for name, value in kept.items()
    }
    return {**made, "HOME": _TARGETS["home"]}


def container_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that are true of this machine only."""
    return {name: value for name, value in env.items() if name not in _MACHINE}


def translated(value: str, paths: Paths) -> str:
    """Return a path of the job as a docker action sees it; anything else stays as it is."""
    places = {getattr(paths, name).inside: target for name, target in _TARGETS.items()}
    for inside in sorted(places, key=len, reverse=True):
        if value == inside or value.startswith(f"{inside}/"):
            return places[inside] + value[len(inside) :]
    return value


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StepError(f"input args: {text!r} cannot be read: {error}") from error


def _definition(uses: str, image: str) -> Definition:
    return Definition(plain(uses), uses, "", {}, {}, "docker", {"image": image})
