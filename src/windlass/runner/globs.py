"""Patterns for files in the workspace, as `hashFiles` and the artifact and cache actions take them."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return what matches a relative path with `/`: `*`, `?`, `[…]` within a name, `**` over directories."""
    parts = []
    text = pattern.removeprefix("./").rstrip("/") or "**"
    at = 0
    while at < len(text):
        if text.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif text.startswith("**", at):
            parts.append(".*")
            at += 2
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inner = text[at + 1 : end].replace("\\", "\\\\")
            parts.append(f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]")
            at = end + 1
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(text[at]) or re.escape(text[at]))
            at += 1
    return re.compile("".join(parts) + r"(?:/.*)?\Z", re.DOTALL)


class Patterns:
    """Several patterns in order; one with `!` before it takes out what earlier ones let in."""

    def __init__(self, patterns: Iterable[str]) -> None:
        listed = [line.strip() for line in patterns]
        self._rules = [
            (not line.startswith("!"), compile_pattern(line.lstrip("!").strip()))
            for line in listed
            if line and not line.startswith("#")
        ]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def match(self, path: str) -> bool:
        """Return whether the relative path is in."""
        found = False
        for include, expression in self._rules:
            if expression.match(path):
                found = include
        return found


def files(root: Path, patterns: Patterns) -> Iterator[str]:
    """Yield the relative paths of ordinary files under the root, sorted; links are not followed."""
    for directory, directories, names in os.walk(root):
        directories[:] = sorted(name for name in directories if name != ".git")
        for name in sorted(names):
            path = os.path.relpath(os.path.join(directory, name), root)  # noqa: PTH118
            if patterns.match(path) and not os.path.islink(os.path.join(root, path)):  # noqa: PTH114, PTH118
                yield path


def hash_files(root: Path, patterns: Iterable[str]) -> str:
    """Return one SHA-256 over those of all files that match, "" where none does."""
    chosen = Patterns(patterns)
    total = hashlib.sha256()
    any_file = False
    for path in files(root, chosen):
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
            any_file = True
    return total.hexdigest() if any_file else ""
