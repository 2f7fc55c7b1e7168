"""What passes between the scheduler and one job's process: its specification and its events.

The specification travels as `spec.json` and never holds a secret. The events are lines of JSON in
`events.jsonl`, read from an offset, so that neither side has to be there when the other writes.
"""

from __future__ import annotations

import json
import time
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, TypeAlias

Event: TypeAlias = dict[str, Any]
Conclusion: TypeAlias = Literal["success", "failure", "cancelled", "skipped", "timed_out"]
Outcome: TypeAlias = Literal["success", "failure", "cancelled", "skipped"]
Level: TypeAlias = Literal["error", "warning", "notice", "debug"]

CONCLUSIONS: tuple[Conclusion, ...] = ("success", "failure", "cancelled", "skipped", "timed_out")
EVENT_FIELDS: dict[str, frozenset[str]] = {
    "job.started": frozenset({"pid", "started"}),
    "step.started": frozenset({"step", "name", "line"}),
    "step.finished": frozenset({"step", "outcome", "conclusion", "seconds", "outputs"}),
    "annotation": frozenset({"level", "message", "file", "line", "column", "title", "step"}),
    "action": frozenset({"uses", "sha"}),
    "image.used": frozenset({"image", "digest"}),
    "image.built": frozenset({"image", "seconds"}),
    "image.published": frozenset({"image", "digest", "tags"}),
    "summary": frozenset({"step", "markdown"}),
    "artifact": frozenset({"name", "path", "size"}),
    "coverage": frozenset({"percent"}),
    "environment": frozenset({"url"}),
    "job.finished": frozenset({"conclusion", "outputs", "reason"}),
}


class JobError(ValueError):
    """A job specification or a job event is not well formed."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One attempt at one job: everything its process needs to know, except the secrets.

    `id` is `RUN.JOBKEY.ATTEMPT` and safe as a file name. `definition` is the job as plain data with its
    expressions unevaluated; `env` are the env maps around it, outermost first, unevaluated as well.
    """

    id: str
    run: int
    attempt: int
    key: str
    name: str
    repository: str
    definition: dict[str, Any]
    env: list[dict[str, Any]]
    contexts: dict[str, Any]
    server_url: str
    mirrors: dict[str, str]
    directory: str
    tools: str
    socket: str
    isolation: str
    engine: str
    workflow_file: str
    ref: str
    sha: str
    permissions: dict[str, str] = field(default_factory=dict)
    actions_mirror: str = ""
    """Where repositories of actions are that the server does not host, "" for nowhere."""
    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    """`actions`: `OWNER/NAME@REF` to the commit to take, `images`: to the digest; `lock`: what has to come out."""
    workflow_repository: str = ""
    workflow_sha: str = ""
    """Where the workflow file lies that the job stands in; "" for the run's own repository and commit."""

    def to_json(self) -> str:
        """Return the specification as one JSON object."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> JobSpec:
        """Read what `to_json` wrote. Raises `JobError` naming the fields that are missing or unknown.

        Unknown fields are an error: the reader is never older than the writer on one machine.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise JobError(f"the job specification is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise JobError("the job specification is not a JSON object")
        known = {item.name for item in fields(cls)}
        needed = {item.name for item in fields(cls) if item.default is item.default_factory is MISSING}
        if missing := sorted(needed - data.keys()):
            raise JobError(f"the job specification lacks {', '.join(missing)}")
        if unknown := sorted(data.keys() - known):
            raise JobError(f"the job specification has unknown fields: {', '.join(unknown)}")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """What the server writes into the job's standard input, once, before end of file."""

    token: str
    secrets: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as one JSON object. The result is a secret itself."""
        return json.dumps({"token": self.token, "secrets": self.secrets}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> JobSecrets:
        """Read what `to_json` wrote. Raises `JobError`, whose message never holds the text."""
        try:
            data = json.loads(text)
            return cls(str(data["token"]), {str(key): str(value) for key, value in data["secrets"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise JobError(
                "the job's standard input does not hold an object with `token` and `secrets`"
            ) from None

    def __repr__(self) -> str:
        return f"JobSecrets(token=…, secrets={sorted(self.secrets)})"


def event(kind: str, /, *, at: float | None = None, **data: Any) -> Event:
    """Return an event of this kind, at a time in seconds since the epoch (now by default).

    Raises `JobError` where the kind is unknown or the fields are not those of the kind.
    """
    made: Event = {"at": time.time() if at is None else at, "kind": kind, **data}
    _check(made)
    return made


def encode(item: Event) -> bytes:
    """Return the event as one line with its line end."""
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes | str) -> Event:
    """Read one line. Raises `JobError` on anything that is not an event of a known kind."""
    try:
        item = json.loads(line)
    except ValueError as error:
        raise JobError(f"not JSON: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("at"), (int, float)):
        raise JobError("an event is an object with `at` in seconds")
    _check(item)
    return item


def read_events(chunk: bytes) -> tuple[list[Event], int]:
    """Return the events of the complete lines in `chunk` and how many bytes they took.

    A last line without its end is left for the next reading: its writer may be in the middle of it.
    """
    used = chunk.rfind(b"\n") + 1
    return [decode(line) for line in chunk[:used].splitlines() if line.strip()], used


def _check(item: Event) -> None:
    kind = item.get("kind")
    wanted = EVENT_FIELDS.get(kind) if isinstance(kind, str) else None
    if wanted is None:
        raise JobError(f"unknown kind of event: {kind!r}")
    got = item.keys() - {"at", "kind"}
    if got != wanted:
        wrong = ", ".join(sorted(got ^ wanted))
        raise JobError(f"event {kind} has other fields than {', '.join(sorted(wanted))}: see {wrong}")
