"""docker/metadata-action."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions import tags
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_OCI = "org.opencontainers.image"


class Metadata(BuiltIn):
    """Tags and labels for images."""

    names = ("docker/metadata-action",)
    about = "Makes tags and labels for images from the ref, the commit and the event."
    inputs = (
        Input("images", "names of images, one a line; `name=…,enable=…`"),
        Input("tags", "rules of the types schedule, semver, pep440, match, edge, ref, raw, sha"),
        Input("flavor", "latest=auto|true|false, prefix, suffix (with onlatest)"),
        Input("labels", "further labels, one a line"),
        Input("annotations", "further annotations, one a line"),
        Input("sep-tags", "what stands between tags", "\n"),
        Input("sep-labels", "what stands between labels", "\n"),
        Input("sep-annotations", "what stands between annotations", "\n"),
        Input("context", "the workflow's ref and commit are used", "workflow", honour="error"),
        Input("bake-target", "bake is not supported", "docker-metadata-action", honour="warn"),
        Input("github-token", "nothing is asked of GitHub", honour="yes"),
    )
    outputs = MappingProxyType(
        {
            "version": "the main tag",
            "tags": "full names, one a line",
            "tag-names": "tags without the image, one a line",
            "labels": "labels, one a line",
            "annotations": "annotations, one a line",
            "json": "all of these",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Make them."""
        event = _event(run)
        flavor = tags.read_flavor(run.lines("flavor"))
        version, warnings = tags.versions(tags.read_tags(run.lines("tags")), flavor, event)
        for text in warnings:
            run.warning(text)
        names = tags.tag_names(version, flavor)
        images = _images(run, event)
        full = [f"{image}:{name}" for image in images for name in names] if images else names
        labels = _labels(run, version.main, event) + _extra(run, "labels", event)
        annotations = [f"manifest:{label}" for label in _labels(run, version.main, event)]
        annotations += [
            line if ":" in line.partition("=")[0] else f"manifest:{line}"
            for line in _extra(run, "annotations", event)
        ]
        if not names:
            run.warning("No Docker image version has been generated. Check tags input.")
        _set(run, version.main, full, names, {"labels": _last(labels), "annotations": _last(annotations)})


def _set(
    run: ActionRun, version: str, full: list[str], names: list[str], about: dict[str, list[str]]
) -> None:
    """Set the outputs, and each also as a variable, for build-args and scripts."""
    labels, annotations = about["labels"], about["annotations"]
    pairs = dict(line.partition("=")[::2] for line in labels)
    outputs = {
        "version": version,
        "tags": _join(run, "sep-tags", full),
        "tag-names": _join(run, "sep-tags", names),
        "labels": _join(run, "sep-labels", labels),
        "annotations": _join(run, "sep-annotations", annotations),
        "json": json.dumps({"tags": full, "tag-names": names, "labels": pairs, "annotations": annotations}),
    }
    for name, value in outputs.items():
        run.output(name, value)
        run.set_env(f"DOCKER_METADATA_OUTPUT_{name.upper().replace('-', '_')}", value)
    run.say(
        "\n".join(
            [
                f"version: {version}",
                "tags:",
                *(f"  {tag}" for tag in full),
                "labels:",
                *(f"  {x}" for x in labels),
            ]
        )
    )


def _join(run: ActionRun, name: str, lines: list[str]) -> str:
    return (run.inputs[name] or "\n").join(lines)


def _last(lines: list[str]) -> list[str]:
    """Keep the last of each key."""
    return list({line.partition("=")[0]: line for line in lines}.values())


def _event(run: ActionRun) -> tags.Event:
    github = run.github
    payload = github.get("event") or {}
    return tags.Event(
        ref=str(github.get("ref") or ""),
        sha=str(github.get("sha") or ""),
        event_name=str(github.get("event_name") or ""),
        default_branch=str((payload.get("repository") or {}).get("default_branch") or "main"),
        base_ref=str(github.get("base_ref") or "").removeprefix("refs/heads/"),
        committed=_committed(payload),
        now=time.time(),
    )


def _committed(payload: dict[str, Any]) -> float:
    text = str((payload.get("head_commit") or {}).get("timestamp") or "")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time()


def _images(run: ActionRun, event: tags.Event) -> list[str]:
    found = []
    for line in run.lines("images"):
        given = tags.attributes(line, {"name", "enable"}, first="name")
        enabled = tags.expand(given.get("enable", "true"), event)
        if enabled == "true" and given.get("name"):
            found.append(given["name"].lower())
        elif enabled not in {"true", "false"}:
            raise StepError(f"input images: enable={enabled} is neither true nor false")
    return found


def _labels(run: ActionRun, version: str, event: tags.Event) -> list[str]:
    github = run.github
    repository = (github.get("event") or {}).get("repository") or {}
    name = str(github["repository"])
    address = str(repository.get("html_url") or f"{run.state.spec.server_url}/{name}")
    created = datetime.fromtimestamp(event.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    values = {
        "created": created,
        "description": str(repository.get("description") or ""),
        "licenses": str((repository.get("license") or {}).get("spdx_id") or ""),
        "revision": event.sha,
        "source": address,
        "title": name.rpartition("/")[2],
        "url": address,
        "version": version,
    }
    return [f"{_OCI}.{key}={value}" for key, value in values.items()]


def _extra(run: ActionRun, name: str, event: tags.Event) -> list[str]:
    lines = [tags.expand(line, event) for line in run.lines(name)]
    if wrong := [line for line in lines if "=" not in line]:
        raise StepError(f"input {name}: {wrong[0]!r} is not NAME=VALUE")
    return lines
