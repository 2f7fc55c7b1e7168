"""YAML as Kubernetes reads it: a stream of documents, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from windlass.manifests.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 10_000_000
MAX_NODES = 500_000
INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9]*|0o[0-7]+|0[0-7]+|0x[0-9a-fA-F]+)$")
FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
AMBIGUOUS = re.compile(r"^(?:[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
DATE = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}(?:[Tt ].*)?$")
PLAIN = re.compile(r"^[^\s\-?:,\[\]{}#&*!|>'\"%@`=<][^\n]*$|^[-?:][^\s][^\n]*$|^[=<][^\n]*$")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream: its value, and the file and line (from 1) where it begins."""

    value: Any
    file: str
    line: int


class _Loader(_Base):  # type: ignore[misc] # the C loader has no types
    """YAML 1.2's scalars, with the old octal (`defaultMode: 0644`) that Kubernetes reads too."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 PyYAML's way

    duplicates = False

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen and not self.duplicates:
                    line = key.start_mark.line + 1
                    raise DocumentError(f"line {line}: the key {key.value!r} stands twice in one mapping")
                seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("+", "")
    digits = text.lstrip("-")
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") and digits != "0" else 10
    return int(text.replace("0o", "0", 1), base) if base != 16 else int(text, 16)


for _tag, _pattern, _first in (
    ("bool", BOOLEAN, "tTfF"),
    ("int", INTEGER, "-+0123456789"),
    ("float", FLOAT, "-+0123456789."),
    ("null", NULL, "~nN\0"),
    ("merge", re.compile(r"^<<$"), "<"),
):
    for _char in _first:
        _key = "" if _char == "\0" else _char
        _Loader.yaml_implicit_resolvers.setdefault(_key, []).append((f"tag:yaml.org,2002:{_tag}", _pattern))
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


def _count(node: yaml.Node, budget: int) -> int:
    """Count the nodes as aliases would expand them, at most `budget`."""
    if budget <= 0:
        return 0
    budget -= 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            budget = _count(value, _count(key, budget))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            budget = _count(value, budget)
    return budget


def _documents(text: str, file: str, *, duplicates: bool) -> Iterator[Document]:
    loader = _Loader(text)
    loader.duplicates = duplicates
    try:
        while loader.check_node():
            node = loader.get_node()
            if _count(node, MAX_NODES) <= 0:
                raise DocumentError(f"more than {MAX_NODES} nodes (aliases included)")
            yield Document(loader.construct_document(node), file, node.start_mark.line + 1)
    finally:
        loader.dispose()


def read(text: str | bytes, file: str = "<input>", *, duplicates: bool = False) -> list[Document]:
    """Read a YAML stream. Empty documents are left out. Raises `DocumentError` with file and line.

    A key that stands twice in one mapping is refused unless `duplicates` lets the last one win.
    """
    if len(text) > MAX_BYTES:
        raise DocumentError(f"{file}: larger than {MAX_BYTES} bytes")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return [
            found for found in _documents(decoded, file, duplicates=duplicates) if found.value is not None
        ]
    except UnicodeDecodeError as error:
        raise DocumentError(f"{file}: not UTF-8: {error}") from None
    except yaml.MarkedYAMLError as error:
        where = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DocumentError(f"{file}{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError, DocumentError) as error:
        raise DocumentError(f"{file}: {error}") from None


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return _string(str(value))


def _string(text: str) -> str:
    if not text or CONTROL.search(text) or "\n" in text or "\t" in text:
        return _quote(text)
    typed = any(pattern.match(text) for pattern in (INTEGER, FLOAT, BOOLEAN, NULL, AMBIGUOUS, DATE))
    if typed or text.startswith("<<") or re.match(r"^[-+]?[0-9][0-9_]*(?::[0-9]+)*(?:\.[0-9_]*)?$", text):
        return _quote(text)
    special = not PLAIN.match(text) or text[-1] in " :" or ": " in text or " #" in text or text[0] == " "
    if special or text.startswith(("---", "...")) or text == "=":
        return "'" + text.replace("'", "''") + "'"
    return text


def _quote(text: str) -> str:
    out = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    out = out.replace("\r", "\\r")
    return '"' + CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", out) + '"'


def _block(text: str, indent: str) -> str | None:
    """Write several lines as a literal block; None where one cannot carry them."""
    if "\n" not in text.rstrip("\n") and not (text.endswith("\n") and text.strip("\n")):
        return None
    if CONTROL.search(text) or any(line.endswith((" ", "\t")) for line in text.split("\n")):
        return None
    body = text.rstrip("\n")
    trailing = len(text) - len(body)
    chomp = "-" if trailing == 0 else "" if trailing == 1 else "+"
    hint = "2" if body[0] in " \n" else ""
    lines = (body + "\n" * max(trailing - 1, 0)).split("\n")
    return f"|{hint}{chomp}\n" + "\n".join(f"{indent}{line}" if line else "" for line in lines)


def _emit(value: Any, indent: str, lines: list[str], lead: str) -> None:
    """Write `value`; `lead` is what its first line begins with."""
    if isinstance(value, dict) and value:
        for number, key in enumerate(sorted(value, key=str)):
            _entry(f"{indent if number else lead}{_scalar(key)}:", value[key], indent, lines)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            begin = f"{indent if number else lead}- "
            _emit(item, indent + "  ", lines, begin)
    else:
        text = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else None
        block = _block(value, indent) if isinstance(value, str) else None
        lines.append(lead + (text or block or _scalar(value)))


def _entry(lead: str, value: Any, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        lines.append(lead)
        _emit(value, indent + "  ", lines, indent + "  ")
    elif isinstance(value, list) and value:
        lines.append(lead)
        _emit(value, indent, lines, indent)
    else:
        block = _block(value, indent + "  ") if isinstance(value, str) else None
        _emit(value, indent, lines, lead + " ") if block is None else lines.append(f"{lead} {block}")


def write(values: Iterable[Any]) -> str:
    """Write documents with sorted keys, in the style that kustomize and kubectl write."""
    out: list[str] = []
    for value in values:
        lines: list[str] = []
        _emit(value, "", lines, "")
        out.append("\n".join(lines) + "\n")
    return "---\n".join(out)
