"""The machine's own distribution: what it is called and where its packages come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(?:\s+\S+)*)\s*"
)
_SCHEMES = ("http://", "https://", "file:", "copy:")


@dataclass(frozen=True, slots=True)
class Source:
    """One place of packages; `signed_by` is a keyring's path, a fingerprint, or the key itself."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def line(self, key: str = "") -> str:
        """Spell it as a one-line entry, with the keyring's path `key` if there is one."""
        option = f"[signed-by={key}] " if key else ""
        return f"deb {option}{self.uri} {self.suite} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class Distribution:
    """The machine's distribution: `name` "debian" or "ubuntu", `codename` "bookworm", and its sources."""

    name: str
    codename: str
    sources: tuple[Source, ...]


def read_distribution(root: Path = Path("/")) -> Distribution | None:
    """Read os-release and apt's configuration, both of its formats; None where this is no such distribution."""
    release = _os_release(root / "etc/os-release")
    codename = release.get("VERSION_CODENAME", "")
    sources = [source for source in _all_sources(root / "etc/apt") if _belongs(source, codename)]
    if not codename or not sources:
        return None
    return Distribution(release.get("ID", ""), codename, tuple(dict.fromkeys(sources)))


def parse_list(text: str) -> list[Source]:
    """Read the one-line format."""
    found = []
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.partition("#")[0].strip()):
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            components = tuple(match["components"].split())
            found.append(Source(match["uri"], match["suite"], components, options.get("signed-by", "")))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read the deb822 format."""
    found = []
    for stanza in re.split(
        r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    ):
        fields = _stanza(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {
            "no",
            "false",
            "0",
        }:
            continue
        components = tuple(fields.get("components", "").split())
        found += [
            Source(uri, suite, components, fields.get("signed-by", ""))
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def _stanza(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and name:
            part = line.strip()
            fields[name] += "\n" + ("" if part == "." else part)
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return {name: value.strip("\n") for name, value in fields.items()}


def _all_sources(directory: Path) -> Iterable[Source]:
    parts = directory / "sources.list.d"
    for file in (directory / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        yield from parse_deb822(text) if file.suffix == ".sources" else parse_list(text)


def _belongs(source: Source, codename: str) -> bool:
    """Keep the distribution's own archives; others' repositories are no part of a base image."""
    return (
        source.suite.replace("/", "-").split("-")[0] == codename
        and source.suite.replace("/", "-").removeprefix(codename) in {"", "-updates", "-security"}
        and "main" in source.components
        and source.uri.startswith(_SCHEMES)
    )


def _os_release(file: Path) -> Mapping[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
