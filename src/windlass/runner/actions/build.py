"""docker/build-push-action: builds with the machine's engine, outside of the sandbox, on the job's behalf."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.docker import auth_file, machine_platform
from windlass.runner.actions.patience import Patience
from windlass.runner.errors import PathError, StepError

if TYPE_CHECKING:
    from windlass.images import BuildRequest, BuildResult
    from windlass.runner.actions.base import ActionRun

_NETWORKS = {"": "", "default": "", "host": "host", "none": "none"}
_HARMLESS_OUTPUTS = ("type=docker", "type=image", "type=registry", "type=image,push=true")


@dataclass
class Built:
    """What a build and its pushes came to. `digests` are the registry's, by repository; `ids` the image's own."""

    image_id: str
    digest: str
    digests: dict[str, str] = field(default_factory=dict)


class BuildPush(BuiltIn):
    """An image from a Dockerfile in the workspace."""

    names = ("docker/build-push-action",)
    about = "Builds an image with the machine's engine and pushes it; names of mirrored registries go to this server."
    inputs = (
        Input("context", "a directory of the workspace", "."),
        Input("file", "the Dockerfile, from the workspace; Dockerfile in the context by default"),
        Input("push", "whether to push every tag", "false"),
        Input("load", "images are always in the engine's store", "false", honour="yes"),
        Input("tags", "names, one a line or with commas"),
        Input("labels", "NAME=VALUE, one a line"),
        Input("build-args", "NAME=VALUE, one a line; NAME alone takes the variable"),
        Input("target", "the stage"),
        Input("platforms", "the machine's own only"),
        Input("no-cache", "whether layers of earlier builds are used", "false"),
        Input("pull", "whether base images are fetched anew", "false", honour="warn"),
        Input("network", "what RUN sees: default, host, none"),
        Input("add-hosts", "NAME:ADDRESS, one a line"),
        Input("secrets", "ID=VALUE, one a line, for RUN --mount=type=secret"),
        Input("secret-envs", "ID=VARIABLE, one a line"),
        Input("secret-files", "ID=PATH in the workspace, one a line"),
        Input("cache-from", "layers are cached by the engine on this machine", honour="warn"),
        Input("cache-to", "layers are cached by the engine on this machine", honour="warn"),
        Input("outputs", "an image in the engine and the registry", honour="error", fine=_HARMLESS_OUTPUTS),
        Input("provenance", "attestations are not made yet", honour="warn", fine=("false",)),
        Input("sbom", "attestations are not made yet", honour="warn", fine=("false",)),
        Input("attests", "attestations are not made yet", honour="warn"),
        Input("annotations", "annotations are not written yet", honour="warn"),
        Input("build-contexts", "one context only", honour="error"),
        Input("no-cache-filters", "the cache is used for all stages or none", honour="error"),
        Input("ssh", "no agent reaches the build", honour="error"),
        Input("call", "only builds are made", honour="error", fine=("build",)),
        Input("allow", "the engine's own rules count", honour="warn"),
        Input("builder", "the machine's engine is the builder", honour="yes"),
        Input("cgroup-parent", "the engine's own limits count", honour="warn"),
        Input("shm-size", "the engine's own limits count", honour="warn"),
        Input("ulimit", "the engine's own limits count", honour="warn"),
        Input("github-token", "nothing is asked of GitHub", honour="yes"),
    )  # fmt: skip
    outputs = MappingProxyType(
        {
            "digest": "the digest in the registry, or the local one where nothing was pushed",
            "imageid": "the image's id",
            "metadata": "both as JSON",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Build, push, and tell the server what was published."""
        tags, push = _tags(run), run.flag("push")
        if push and not tags:
            raise StepError("tag is needed when pushing to registry")
        built = run.wait_for(_build(run, tags, push=push))
        for image, digest in built.digests.items():
            names = [tag.rpartition(":")[2] for tag in tags if repository(tag) == image]
            run.state.sink.emit("image.published", image=image, digest=digest, tags=names)
            run.say(f"Published {image}@{digest} ({', '.join(names)})")
        metadata = {
            "containerimage.config.digest": built.image_id,
            "containerimage.digest": built.digest,
            "image.name": ",".join(tags),
        }
        run.output("imageid", built.image_id)
        run.output("digest", built.digest)
        run.output("metadata", json.dumps(metadata, indent=2))


async def _build(run: ActionRun, tags: list[str], *, push: bool) -> Built:
    from windlass.engine import EngineError
    from windlass.engine.choose import choose_engine
    from windlass.images import BuildError, ImagesError, build

    spec = run.state.spec
    cache = Path(spec.tools) / "images"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        engine = await choose_engine(spec.engine)
        result: BuildResult = await build(
            engine, request(run, tags), run.say, cache_dir=cache, mirrors=spec.mirrors, auth_file=_auth(run)
        )
        run.state.sink.emit("image.built", image=result.image_id, seconds=round(result.seconds, 3))
        built = Built(result.image_id, result.digest)
        if push:
            await _push(run, engine, tags, built)
    except BuildError as error:
        raise StepError("\n".join([str(error), *error.lines[-5:]])) from error
    except (EngineError, ImagesError) as error:
        raise StepError(str(error)) from error
    if result.stand_in:
        run.warning(
            "A base image was stood in for: no registry that has it can be reached from this machine."
        )
    return built


async def _push(run: ActionRun, engine: Any, tags: list[str], built: Built) -> None:
    for tag in tags:
        run.say(f"Pushing {tag}")
        built.digests.setdefault(repository(tag), await _push_one(run, engine, tag))
    built.digest = next(iter(built.digests.values()))


async def _push_one(run: ActionRun, engine: Any, tag: str) -> str:
    """Push a tag and return its digest; a registry that restarts meanwhile has what came before, and gets the rest."""
    from windlass.engine import EngineError
    from windlass.images import push

    patience = Patience(run.say)
    while True:
        try:
            return await push(
                engine, tag, mirrors=run.state.spec.mirrors, auth_file=_auth(run), on_line=run.say
            )
        except EngineError as error:
            if not patience.lasts(error.stderr):
                raise


def request(run: ActionRun, tags: list[str]) -> BuildRequest:
    """Return the build that the inputs ask for. Raises `StepError`, `PathError`."""
    from windlass.images import BuildRequest

    context = _context(run)
    file = run.text("file") or f"{run.text('context') or '.'}/Dockerfile"
    dockerfile = run.host_path(file)
    if not dockerfile.is_file():
        raise StepError(f"there is no {file} in the workspace")
    network = run.text("network")
    if network not in _NETWORKS:
        raise StepError(f"input network: {network!r} is none of default, host, none")
    return BuildRequest(
        context=context,
        tags=tuple(tags),
        dockerfile=dockerfile,
        target=run.text("target"),
        build_args=_build_args(run),
        labels=_pairs(run, "labels"),
        platforms=_platforms(run),
        secrets=_secrets(run),
        no_cache=run.flag("no-cache"),
        network=_NETWORKS[network],  # type: ignore[arg-type]
        add_hosts=tuple(_host(line) for line in run.lines("add-hosts")),
        timestamp=_timestamp(run),
    )


def repository(tag: str) -> str:
    """Return an image's name without tag and digest."""
    name = tag.partition("@")[0]
    head, colon, last = name.rpartition(":")
    return head if colon and "/" not in last else name


def _context(run: ActionRun) -> Path:
    given = run.text("context") or "."
    if "://" in given or given.startswith("git@") or "{{" in given:
        raise StepError(f"input context: {given!r}: only directories of the workspace; check it out first")
    context = run.host_path(given)
    if not context.is_dir():
        raise StepError(f"input context: {given!r} is not a directory of the workspace")
    return context


def _tags(run: ActionRun) -> list[str]:
    found = [tag.strip() for line in run.lines("tags") for tag in line.split(",") if tag.strip()]
    return list(dict.fromkeys(found))


def records(text: str) -> list[str]:
    """Return the entries of a list: one a line, or in double quotes, where it may have several lines. Pure.

    As the originals read them: a comma is part of an entry, and a quote within one is doubled.
    """
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    entries = (",".join(row).strip() for row in rows)
    return [entry for entry in entries if entry]


def _pairs(run: ActionRun, name: str) -> dict[str, str]:
    pairs = {}
    for line in records(run.inputs[name]):
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise StepError(f"input {name}: {line.splitlines()[0][:40]!r} is not NAME=VALUE")
        pairs[key] = value
    return pairs


def _build_args(run: ActionRun) -> dict[str, str]:
    made = {}
    for line in records(run.inputs["build-args"]):
        name, equals, value = line.partition("=")
        if equals or name in run.env:
            made[name] = value if equals else run.env[name]
    return made


def _platforms(run: ActionRun) -> tuple[str, ...]:
    asked = [part.strip() for line in run.lines("platforms") for part in line.split(",") if part.strip()]
    if foreign := [one for one in asked if not one.startswith(machine_platform())]:
        raise StepError(
            f"input platforms: {', '.join(foreign)} cannot be built on this machine ({machine_platform()}): there "
            "is no emulation. Leave the input out, or build that platform on a machine of its own."
        )
    return ()


def _host(line: str) -> tuple[str, str]:
    name, separator, address = line.partition("=") if "=" in line else line.partition(":")
    if not separator:
        raise StepError(f"input add-hosts: {line!r} is not NAME:ADDRESS")
    return name, address


def _secrets(run: ActionRun) -> dict[str, Path]:
    """Write secrets to files that only the runner reads, and name the workspace's own."""
    directory = auth_file(run.state).parent / "secrets"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {key: run.env.get(value, "") for key, value in _pairs(run, "secret-envs").items()}
    values |= _pairs(run, "secrets")
    found = {}
    for index, (key, value) in enumerate(values.items()):
        run.state.masker.add(value)
        path = directory / f"{index}"
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w"
        ) as stream:
            stream.write(value)
        found[key] = path
    for key, value in _pairs(run, "secret-files").items():
        path = run.host_path(value)
        if not path.is_file():
            raise PathError(f"input secret-files: {value!r} is not a file of the workspace")
        found[key] = path
    return found


def _timestamp(run: ActionRun) -> int | None:
    text = run.env.get("SOURCE_DATE_EPOCH", "")
    return int(text) if text.isdecimal() else None


def _auth(run: ActionRun) -> Path | None:
    path = auth_file(run.state)
    return path if path.exists() else None
