"""Secrets and variables that a person hands to a run: never in an argument, never on the disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.identity import Secrets
from windlass.server.local.errors import BadSecretError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
TOKEN = "GITHUB_TOKEN"  # noqa: S105 its name
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class GivenSecrets(Secrets):
    """Secrets that live in this process only, for every job alike."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    async def reveal(self, repository: str) -> dict[str, str]:  # noqa: ARG002 all of them
        """Return all of them; `GITHUB_TOKEN` is empty unless it was given."""
        return {TOKEN: "", **self._values}


def from_environment(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that are named, by their values in the environment. Raises `BadSecretError`."""
    found = {}
    for name in names:
        if "=" in name:
            raise BadSecretError(
                f"--secret {name.partition('=')[0]}=… is refused: every user of this machine sees arguments, and "
                f"the shell keeps them in its history. Set the variable and give its name (--secret "
                f"{name.partition('=')[0]}), or use --secret-file"
            )
        if not NAME.match(name):
            raise BadSecretError(
                f"--secret {name!r}: a name has letters, digits and _, and no digit in front"
            )
        if name not in environment:
            raise BadSecretError(f"--secret {name}: there is no variable {name} in the environment")
        found[name.upper()] = environment[name]
    return found


def from_file(path: Path) -> dict[str, str]:
    """Return the variables of a dotenv file. Raises `BadSecretError` with its line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadSecretError(f"{path} cannot be read: {reason}") from None
    return {name.upper(): value for name, value in parse_dotenv(text, str(path)).items()}


def parse_dotenv(text: str, path: str = ".env") -> dict[str, str]:
    """Read `NAME=value` lines: comments, `export`, single and double quotes (of several lines too). Pure.

    Messages never show a value. Raises `BadSecretError`.
    """
    found: dict[str, str] = {}
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line, at = lines[number].strip(), number + 1
        number += 1
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise BadSecretError(f"{path}:{at}: not NAME=value")
        name, value = match.groups()
        quote = value[:1]
        if quote not in {'"', "'"}:
            found[name] = re.split(r"\s#", value, maxsplit=1)[0].strip()
            continue
        body = value[1:]
        while (end := _closing(body, quote)) < 0:
            if number == len(lines):
                raise BadSecretError(f"{path}:{at}: the value of {name} begins with {quote} and does not end")
            body += "\n" + lines[number]
            number += 1
        body = body[:end]
        found[name] = re.sub(r"\\(.)", _unescape, body) if quote == '"' else body
    return found


def _closing(body: str, quote: str) -> int:
    if quote == "'":
        return body.find("'")
    match = re.match(r'(?:[^"\\]|\\.)*"', body, re.DOTALL)
    return match.end() - 1 if match else -1


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
