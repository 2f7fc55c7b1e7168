"""Identifiers of jobs and steps: what is a valid one, and those that are made where the file gives none."""

from __future__ import annotations

import re

MAX_LENGTH = 100
_VALID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


class Ids:
    """The identifiers of one scope; they are distinct without regard to case."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, value: str) -> str | None:
        """Note an identifier of the file. Returns what is wrong with it, None where nothing is."""
        if not _VALID.fullmatch(value) or len(value) >= MAX_LENGTH:
            return (
                f"The identifier '{value}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. "
                f"IDs must start with a letter or '_' and and must be less than {MAX_LENGTH} characters."
            )
        if value.startswith("__"):
            return f"The identifier '{value}' is invalid. IDs starting with '__' are reserved."
        if value.lower() in self._known:
            return f"The identifier '{value}' may not be used more than once within the same scope."
        self._known.add(value.lower())
        return None

    def make(self, hint: str) -> str:
        """Return a new identifier after the hint, numbered where it is taken."""
        base = _ILLEGAL.sub("_", hint)
        attempt = 1
        while True:
            suffix = "" if attempt == 1 else f"_{attempt}"
            made = base[: MAX_LENGTH - len(suffix)] + suffix
            if made.lower() not in self._known:
                self._known.add(made.lower())
                return made
            attempt += 1


def step_hint(uses: str) -> str:
    """Return what the identifier of an action's step is made from."""
    if uses.startswith("docker://"):
        return uses.removeprefix("docker://") or "run"
    if uses.startswith(("./", ".\\", "$/")):
        return "self"
    parts = action_reference(uses)
    return f"{parts[0]}/{parts[1]}" if parts else "run"


def action_reference(uses: str) -> tuple[str, str, str, str] | None:
    """Return (owner, repository, path, ref) of `owner/repository[/path]@ref`, None where it is not that."""
    name, at, ref = uses.partition("@")
    if not at or not ref or "@" in ref:
        return None
    segments = [part for part in re.split(r"[\\/]", name) if part]
    if len(segments) < 2:
        return None
    return segments[0], segments[1], "/".join(segments[2:]), ref
