"""The part of the `kustomize` command that pipelines use: `build`, `edit set`, `edit add resource`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.manifests.documents import write
from windlass.manifests.errors import BuildError, ManifestError
from windlass.manifests.kustomize.build import NAMES, build
from windlass.manifests.kustomize.edit import add_resource, set_field, set_image
from windlass.manifests.ordering import legacy
from windlass.manifests.tree import FolderTree

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """usage: kustomize build [DIR] [-o FILE]
       kustomize edit set image NAME=NEWNAME:TAG|NEWNAME@DIGEST|NAME:TAG ...
       kustomize edit set namespace|nameprefix|namesuffix VALUE
       kustomize edit add resource FILE ...
       kustomize version"""
FIELDS = {"namespace": "namespace", "nameprefix": "namePrefix", "namesuffix": "nameSuffix"}
VERSION = "v5.6.0"


def _root(folder: Path) -> Path:
    """Return the repository that holds the folder, for bases above it; the file system's root without one."""
    for parent in (folder, *folder.parents):
        if (parent / ".git").exists():
            return parent
    return Path(folder.anchor)


def _build(arguments: Sequence[str]) -> None:
    target, output = ".", None
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-o", "--output"):
            output = rest.pop(0) if rest else None
        elif not word.startswith("-"):
            target = word
        elif word.startswith(("--load-restrictor", "--enable-", "--reorder")):
            if "=" not in word and rest and not word.startswith("--enable-"):
                rest.pop(0)
        else:
            raise BuildError(f"unknown option {word}\n{USAGE}")
    folder = Path(target).resolve()
    root = _root(folder)
    relative = folder.relative_to(root).as_posix()
    text = write(legacy(build(FolderTree(root), "" if relative == "." else relative)))
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _file() -> Path:
    found = [Path(name) for name in NAMES if Path(name).is_file()]
    if len(found) != 1:
        raise BuildError(f"Missing kustomization file '{NAMES[0]}' in {Path.cwd()}")
    return found[0]


def _edit(arguments: Sequence[str]) -> None:
    file = _file()
    text = file.read_text(encoding="utf-8")
    match list(arguments):
        case ["set", "image", first, *more]:
            for argument in (first, *more):
                text = set_image(text, argument)
        case ["set", field, value] if field in FIELDS:
            text = set_field(text, FIELDS[field], value)
        case ["add", "resource", first, *more]:
            for argument in (first, *more):
                if not Path(argument).exists():
                    raise BuildError(f"{argument} does not exist")
                text = add_resource(text, argument)
        case _:
            raise BuildError(f"not supported: edit {' '.join(arguments)}\n{USAGE}")
    file.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    try:
        match list(arguments):
            case ["build", *rest]:
                _build(rest)
            case ["edit", *rest]:
                _edit(rest)
            case ["version", *_]:
                sys.stdout.write(f"{VERSION}\n")
            case _:
                raise BuildError(USAGE)
    except (ManifestError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
