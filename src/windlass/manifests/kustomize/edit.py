"""`kustomize edit`: change a kustomization file in place, touching only the lines that change."""

from __future__ import annotations

import re
from typing import Any

from windlass.manifests.documents import read
from windlass.manifests.errors import BuildError
from windlass.manifests.kustomize.transform import split_image

TOP = re.compile(r"^([A-Za-z][A-Za-z0-9]*):(.*)$")


def parse_image(argument: str) -> dict[str, str]:
    """Read `NAME=NEWNAME:TAG`, `NAME=NEWNAME@DIGEST`, `NAME:TAG`, `NAME@DIGEST` or `NAME=*:TAG`."""
    name, equals, image = argument.partition("=")
    target, tag, digest = split_image(image if equals else argument)
    source = name if equals else target
    if not source or not (tag or digest or (equals and target)):
        raise BuildError(
            f"{argument!r} is not NAME=NEWNAME:TAG, NAME=NEWNAME@DIGEST, NAME=NEWNAME, NAME:TAG or NAME@DIGEST"
        )
    entry = {"name": source}
    if equals and target not in ("*", "", source):
        entry["newName"] = target
    if tag:
        entry["newTag"] = tag
    if digest:
        entry["digest"] = digest
    if equals and target == "*":
        entry["newName"] = "*"
    return entry


def _sections(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Map each top-level key to its lines: the first, and the one after the last that belongs to it."""
    starts = [(number, match[1]) for number, line in enumerate(lines) if (match := TOP.match(line))]
    found = {}
    for index, (number, key) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(lines)
        while end > number + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        found[key] = (number, end)
    return found


def _quoted(value: str) -> str:
    from windlass.manifests.documents import write

    return write([value]).rstrip("\n")


def _entry_lines(entry: dict[str, str], indent: str) -> list[str]:
    order = sorted(entry, key=lambda key: (key == "newTag", key == "newName", key))
    keys = [key for key in ("digest", "name", "newName", "newTag") if key in order]
    return [
        f"{indent}{'- ' if number == 0 else '  '}{key}: {_quoted(entry[key])}"
        for number, key in enumerate(keys)
    ]


def _entry_spans(lines: list[str], start: int, end: int) -> tuple[str, list[tuple[int, int]]]:
    """Return the indentation of the entries of a block list and the lines of each."""
    dashes = [n for n in range(start + 1, end) if lines[n].lstrip().startswith("- ")]
    if not dashes:
        return "", []
    indent = lines[dashes[0]][: len(lines[dashes[0]]) - len(lines[dashes[0]].lstrip())]
    own = [n for n in dashes if lines[n].startswith(indent + "- ")]
    return indent, [(n, own[i + 1] if i + 1 < len(own) else end) for i, n in enumerate(own)]


def _rewrite(lines: list[str], span: tuple[int, int], indent: str, entry: dict[str, str]) -> list[str]:
    """Change the lines of one entry: known fields in place, fields that went away removed, new ones added."""
    left = dict(entry)
    out: list[str] = []
    for line in lines[span[0] : span[1]]:
        match = re.match(r"^(\s*(?:- )?)(name|newName|newTag|digest|tagSuffix):\s*([^#]*?)(\s+#.*)?$", line)
        if match is None:
            out.append(line)
        elif match[2] in left:
            value = left.pop(match[2])
            old = read(match[3])
            same = bool(old) and old[0].value == value
            out.append(line if same else f"{match[1]}{match[2]}: {_quoted(value)}{match[4] or ''}")
        elif match[1].strip() == "-":
            out.append(match[1].rstrip())
    if out and out[0].strip() == "-":
        out[0:2] = [f"{indent}- {out[1].lstrip()}"] if len(out) > 1 else []
    at = len(out)
    while at > 1 and (not out[at - 1].strip() or out[at - 1].lstrip().startswith("#")):
        at -= 1
    out[at:at] = [f"{indent}  {key}: {_quoted(value)}" for key, value in left.items()]
    return out


def set_image(text: str, argument: str) -> str:
    """Return the kustomization with one image set; an entry of the same name is changed, others stay."""
    new = parse_image(argument)
    documents = read(text, "kustomization.yaml", duplicates=True)
    current: list[dict[str, Any]] = (documents[0].value if documents else {}).get("images") or []
    old: dict[str, Any] = next((each for each in current if each.get("name") == new["name"]), {})
    if new.get("newName") == "*":
        new.pop("newName")
        if old.get("newName"):
            new["newName"] = str(old["newName"])
    elif "newName" not in new and "=" not in argument and old.get("newName"):
        new["newName"] = str(old["newName"])
    if "newTag" not in new and "digest" not in new:
        new.update({key: str(old[key]) for key in ("newTag", "digest") if key in old})
    lines = text.splitlines()
    section = _sections(lines).get("images")
    if section is None:
        tail = [] if not lines or lines[-1].strip() else lines[-1:]
        body = lines[: len(lines) - len(tail)]
        return "\n".join([*body, "images:", *_entry_lines(new, "")]) + "\n"
    return _set_in_section(lines, section, current, old, new)


def _set_in_section(
    lines: list[str],
    section: tuple[int, int],
    current: list[dict[str, Any]],
    old: dict[str, Any],
    new: dict[str, str],
) -> str:
    start, end = section
    indent, spans = _entry_spans(lines, start, end)
    if len(spans) != len(current) or not spans:  # a flow list, or something unusual: write the section anew
        entries = [new if each is old else each for each in current] + ([] if old else [new])
        fresh = [line for each in entries for line in _entry_lines({k: str(v) for k, v in each.items()}, "")]
        lines[start:end] = ["images:", *fresh]
    elif old:
        span = spans[next(index for index, each in enumerate(current) if each is old)]
        lines[span[0] : span[1]] = _rewrite(lines, span, indent, new)
    else:
        lines[end:end] = _entry_lines(new, indent)
    return "\n".join(lines) + "\n"


def set_field(text: str, field: str, value: str) -> str:
    """Return the kustomization with one top-level scalar (namespace, namePrefix, nameSuffix) set."""
    lines = text.splitlines()
    section = _sections(lines).get(field)
    line = f"{field}: {_quoted(value)}"
    if section is None:
        lines.append(line)
    else:
        comment = re.search(r"\s+#.*$", lines[section[0]])
        lines[section[0] : section[1]] = [line + (comment[0] if comment else "")]
    return "\n".join(lines) + "\n"


def add_resource(text: str, path: str) -> str:
    """Return the kustomization with one more resource; unchanged where it is listed already."""
    documents = read(text, "kustomization.yaml", duplicates=True)
    current = (documents[0].value if documents else {}).get("resources") or []
    if path in current:
        return text
    lines = text.splitlines()
    section = _sections(lines).get("resources")
    if section is None:
        return "\n".join([*lines, "resources:", f"- {_quoted(path)}"]) + "\n"
    start, end = section
    indent, spans = _entry_spans(lines, start, end)
    if len(spans) == len(current) and spans:
        lines[end:end] = [f"{indent}- {_quoted(path)}"]
    else:
        lines[start:end] = ["resources:", *(f"- {_quoted(str(each))}" for each in [*current, path])]
    return "\n".join(lines) + "\n"
