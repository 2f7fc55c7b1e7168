"""What a scripted image does: records, their choice by image and environment, and their file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import yaml

from windlass.engine.errors import EngineError
from windlass.engine.port import ExecResult

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Output:
    """A line written `after` seconds; `every` > 0 repeats it for ever at that interval."""

    text: str
    after: float = 0.0
    every: float = 0.0
    stream: Literal["stdout", "stderr"] = "stdout"


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP answer on paths that match `path` (a pattern), from `after` seconds on; before that 503."""

    path: str = "*"
    status: int = 200
    body: str = "ok\n"
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container of an image does.

    It writes `outputs`, serves `answers` on every port of its specification, and ends by itself `exit_after` seconds
    with `exit_code`, or `stop_after` seconds after it was asked to, with `stop_code`. `execs` maps patterns of
    command lines to results. `start_error` makes it fail to start. `env` are values its environment must have
    for this behaviour to be chosen.
    """

    outputs: tuple[Output, ...] = ()
    answers: tuple[Answer, ...] = (Answer(),)
    exit_after: float | None = None
    exit_code: int = 0
    stop_after: float = 0.0
    stop_code: int = 143
    start_error: str = ""
    execs: Mapping[str, ExecResult] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """Behaviours by image pattern; the first pattern that matches, and of it the first whose `env` fits."""

    images: Mapping[str, tuple[Behaviour, ...]]

    def knows(self, image: str) -> bool:
        """Tell whether an image of that name can be had."""
        return any(fnmatchcase(image, pattern) for pattern in self.images)

    def choose(self, image: str, env: Mapping[str, str]) -> Behaviour:
        """Pick what a container of `image` does with these variables."""
        for pattern, behaviours in self.images.items():
            if fnmatchcase(image, pattern):
                for behaviour in behaviours:
                    if all(env.get(name) == value for name, value in behaviour.env.items()):
                        return behaviour
        return Behaviour()


EVERYTHING = Script({"*": (Behaviour(),)})
"""Every image is there, runs until it is stopped and answers 200 on all its ports."""


def load(file: Path) -> Script:
    """Read a script: `images: {PATTERN: [BEHAVIOUR, …]}` with the fields of the records; raises `EngineError`."""
    attempted = f"read the fake engine's script {file}"
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        return Script(
            {
                str(pattern): tuple(
                    _behaviour(entry) for entry in (entries if isinstance(entries, list) else [entries])
                )
                for pattern, entries in data["images"].items()
            }
        )
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise EngineError(
            attempted, stderr=f"{type(error).__name__}: {error}", remedy="see docs/engines.md"
        ) from error


def _behaviour(entry: dict[str, Any] | None) -> Behaviour:
    fields = dict(entry or {})
    if "outputs" in fields:
        fields["outputs"] = tuple(
            Output(item) if isinstance(item, str) else Output(**item) for item in fields["outputs"]
        )
    if "answers" in fields:
        fields["answers"] = tuple(Answer(**item) for item in fields["answers"])
    if "execs" in fields:
        fields["execs"] = {
            pattern: ExecResult(
                int(item.get("exit_code", 0)),
                item.get("stdout", "").encode(),
                item.get("stderr", "").encode(),
            )
            for pattern, item in fields["execs"].items()
        }
    if "env" in fields:
        fields["env"] = {str(name): str(value) for name, value in fields["env"].items()}
    return Behaviour(**fields)
