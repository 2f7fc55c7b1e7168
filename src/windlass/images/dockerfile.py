"""As much of the Dockerfile's syntax as one needs to know its base images and to put something before each RUN.

Follows the Dockerfile reference: parser directives, comments, continuation lines, heredocs, ARG before FROM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z][a-zA-Z0-9]*)\s*=\s*(?P<value>.+?)\s*")
_HEREDOC = re.compile(r"(?<![<\\])<<(?P<dash>-?)\s*(?P<quote>[\"']?)(?P<word>[A-Za-z0-9_.]+)(?P=quote)")
_VARIABLE = re.compile(r"\\(.)|\$(?:\{(?P<braced>\w+)(?:(?P<op>:?[-+])(?P<word>[^}]*))?\}|(?P<bare>\w+))")
_FLAG = re.compile(r"--[a-z-]+(?:=\S*)?\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: keyword in upper case, its flags, the rest with continuations joined, its lines (from 1)."""

    keyword: str
    flags: tuple[str, ...]
    argument: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile: its lines as they stand, and what they say."""

    lines: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    syntax: str = ""


def parse_dockerfile(text: str) -> Dockerfile:
    """Parse leniently: what is no instruction is left for the engine to complain about."""
    lines = text.lstrip("\ufeff").splitlines()
    directives = _directives(lines)
    escape = directives.get("escape", "\\")
    found: list[Instruction] = []
    index = 0
    while index < len(lines):
        stripped = lines[index].strip()
        if not stripped or stripped.startswith("#"):
            index += 1
            continue
        words, last = _logical_line(lines, index, escape)
        last = _after_heredocs(lines, words, last)
        found.append(_instruction(words, index + 1, last + 1))
        index = last + 1
    return Dockerfile(tuple(lines), tuple(found), directives.get("syntax", ""))


def base_images(dockerfile: Dockerfile, build_args: Mapping[str, str], target: str = "") -> list[str]:
    """List the images it builds on or copies from, in order, each once; its own stages and scratch left out.

    With a `target`, only what stages up to it use.
    """
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    images: list[str] = []
    current = ""
    for step in dockerfile.instructions:
        if step.keyword == "ARG" and not stages and not current:
            name, _, default = step.argument.partition("=")
            arguments[name.strip()] = build_args.get(name.strip(), _unquote(substitute(default, arguments)))
        elif step.keyword == "FROM":
            if target and current == target.lower():
                break
            image, current = _from(step, arguments)
            _note(image, stages, images)
            stages |= {
                current,
                str(sum(1 for s in dockerfile.instructions if s.keyword == "FROM" and s.first < step.first)),
            }
        elif step.keyword in {"COPY", "ADD", "RUN"}:
            for source in _sources(step):
                _note(source, stages, images)
    return images


def before_each_run(dockerfile: Dockerfile, flags: Sequence[str], arguments: Mapping[str, str]) -> str:
    """Give the text with `flags` on each RUN, and `arguments` as ARG defaults at the begin of each stage."""
    lines = list(dockerfile.lines)
    for step in reversed(dockerfile.instructions):
        if step.keyword == "RUN" and flags:
            lines[step.first - 1] = re.sub(
                r"^(\s*RUN)\b",
                lambda match: " ".join((match[1], *flags)),
                lines[step.first - 1],
                flags=re.IGNORECASE,
            )
        elif step.keyword == "FROM" and arguments:
            lines.insert(step.last, "ARG " + " ".join(f"{name}={value}" for name, value in arguments.items()))
    return "\n".join(lines) + "\n"


def substitute(text: str, arguments: Mapping[str, str]) -> str:
    """Replace $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word}."""

    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        name = match["braced"] or match["bare"]
        known = arguments.get(name, "")
        operator, word = match["op"] or "", match["word"] or ""
        present = bool(known) if operator.startswith(":") else name in arguments
        if operator.endswith("-"):
            return known if present else word
        if operator.endswith("+"):
            return word if present else ""
        return known

    return _VARIABLE.sub(value, text)


def _directives(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match["name"].lower() in found:
            break
        found[match["name"].lower()] = match["value"]
    return found


def _logical_line(lines: Sequence[str], index: int, escape: str) -> tuple[str, int]:
    """Join continuation lines; comments and empty lines between them do not count."""
    parts: list[str] = []
    while index < len(lines):
        line = lines[index].rstrip()
        comment = line.lstrip().startswith("#")
        if parts and (comment or not line):
            index += 1
            continue
        if not line.endswith(escape):
            parts.append(line)
            break
        parts.append(line[: -len(escape)])
        index += 1
    return "".join(parts).strip(), min(index, len(lines) - 1)


def _after_heredocs(lines: Sequence[str], words: str, last: int) -> int:
    if not re.match(r"(?:RUN|COPY|ADD)\b", words, re.IGNORECASE):
        return last
    for match in _HEREDOC.finditer(words):
        for index in range(last + 1, len(lines)):
            line = lines[index].lstrip("\t") if match["dash"] else lines[index]
            if line == match["word"]:
                last = index
                break
    return last


def _instruction(words: str, first: int, last: int) -> Instruction:
    keyword, _, rest = words.replace("\t", " ").partition(" ")
    rest, flags = rest.strip(), []
    while match := _FLAG.match(rest):
        flags.append(match[0].strip())
        rest = rest[match.end() :]
    return Instruction(keyword.upper(), tuple(flags), rest, first, last)


def _from(step: Instruction, arguments: Mapping[str, str]) -> tuple[str, str]:
    words = step.argument.split()
    image = _unquote(substitute(words[0], arguments)) if words else ""
    named = len(words) >= 3 and words[1].lower() == "as"
    return image, words[2].lower() if named else f"stage at line {step.first}"


def _sources(step: Instruction) -> list[str]:
    found = []
    for flag in step.flags:
        name, _, value = flag.partition("=")
        if name == "--from":
            found.append(value)
        elif name == "--mount":
            found += [part[5:] for part in value.split(",") if part.startswith("from=")]
    return found


def _note(image: str, stages: set[str], images: list[str]) -> None:
    if (
        image
        and image.lower() not in stages
        and image != "scratch"
        and "$" not in image
        and image not in images
    ):
        images.append(image)


def _unquote(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
