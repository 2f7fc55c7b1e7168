"""Pack and unpack files of the job, in its sandbox: whatever links there are lead to nothing but the job's own.

    archive.py pack TARGET.zip LEVEL HIDDEN PATTERN...        prints {"files": N, "size": BYTES, "root": PATH}
    archive.py unpack SOURCE.zip DIRECTORY                    prints {"files": N}
    archive.py save TARGET.tar PATH...                        prints {"files": N, "size": BYTES, "left": PATHS}
    archive.py restore SOURCE.tar                             prints {"files": N}

Run with the workspace as working directory. The last line printed is JSON, with `error` where it failed.
"""

# pathlib would take longer to import than the work takes
# ruff: noqa: PTH100, PTH101, PTH103, PTH108, PTH109, PTH111, PTH112, PTH113, PTH114, PTH118, PTH120, PTH123, PTH202, PTH206, PTH207

from __future__ import annotations

import glob
import json
import os
import stat
import sys

TYPE_CHECKING = False  # `typing` would take longer to import than the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main(arguments: list[str]) -> int:
    """Do what is asked."""
    known: dict[str, Callable[..., dict[str, object]]] = {
        "pack": pack, "unpack": unpack, "save": save, "restore": restore
    }  # fmt: skip
    work = known[arguments[0]]
    try:
        print(json.dumps(work(*arguments[1:])))  # noqa: T201
    except (OSError, ValueError) as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201
        return 1
    return 0


def pack(target: str, level: str, hidden: str, *patterns: str) -> dict[str, object]:
    """Make a zip of the files that the patterns find, relative to what they have in common."""
    import zipfile

    chosen = find(patterns, hidden=hidden == "true")
    if not chosen:
        return {"files": 0, "size": 0, "root": ""}
    root = common_root(patterns)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=int(level)) as archive:
        for path in chosen:
            archive.write(path, os.path.relpath(path, root))
    return {"files": len(chosen), "size": os.path.getsize(target), "root": root}


def find(patterns: tuple[str, ...], *, hidden: bool) -> list[str]:
    """Return ordinary files, sorted; a directory stands for all that is in it, `!` takes out."""
    found: set[str] = set()
    for pattern in patterns:
        if pattern.startswith("#"):
            continue
        exclude = pattern.startswith("!")
        matched: set[str] = set()
        for path in glob.iglob(absolute(pattern), recursive=True, include_hidden=True):
            matched |= files_under(path)
        if exclude:
            found -= matched
        else:
            found |= {path for path in matched if hidden or not is_hidden(path, pattern)}
    return sorted(found)


def absolute(pattern: str) -> str:
    """Return a pattern without `!`, from the root; `~` is the home."""
    return os.path.abspath(os.path.expanduser(pattern.lstrip("!")))


def files_under(path: str) -> set[str]:
    """Return the path itself, or every ordinary file under it."""
    if not os.path.isdir(path):
        return {path} if os.path.isfile(path) else set()
    found = set()
    for directory, _, names in os.walk(path):
        for name in names:
            full = os.path.join(directory, name)
            if os.path.isfile(full):
                found.add(full)
    return found


def is_hidden(path: str, pattern: str) -> bool:
    """Return whether a name below the fixed part of the pattern begins with a dot."""
    fixed = fixed_part(pattern)
    return any(
        part.startswith(".") for part in os.path.relpath(path, fixed).split(os.sep) if part not in {".", ".."}
    )


def fixed_part(pattern: str) -> str:
    """Return the directory before the first wildcard."""
    parts = absolute(pattern).split(os.sep)
    for at, part in enumerate(parts):
        if glob.has_magic(part):
            return os.sep.join(parts[:at]) or os.sep
    whole = os.sep.join(parts)
    return whole if os.path.isdir(whole) else os.path.dirname(whole)


def common_root(patterns: tuple[str, ...]) -> str:
    """Return what paths in the archive are relative to: of one pattern its fixed part, of several what they share."""
    roots = {fixed_part(pattern) for pattern in patterns if not pattern.startswith(("!", "#"))}
    return os.path.commonpath(sorted(roots))


def unpack(source: str, directory: str) -> dict[str, object]:
    """Unpack a zip. Nothing in it may lead out of the directory or be anything but a file or directory."""
    import shutil
    import zipfile

    os.makedirs(directory, exist_ok=True)
    base = os.path.realpath(directory)
    count = 0
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            name = entry.filename
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name[:2]:
                raise ValueError(f"{name!r} leads out of the directory")
            if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not stat.S_IFMT(mode)):
                raise ValueError(f"{name!r} is neither a file nor a directory")
            target = os.path.join(base, name)
            parent = os.path.realpath(target if entry.is_dir() else os.path.dirname(target))
            if parent != base and not parent.startswith(base + os.sep):
                raise ValueError(f"{name!r} leads out of the directory")
            if entry.is_dir():
                os.makedirs(target, exist_ok=True)
                continue
            os.makedirs(parent, exist_ok=True)
            if os.path.islink(target):
                os.unlink(target)
            with archive.open(entry) as reading, open(target, "wb") as writing:
                shutil.copyfileobj(reading, writing, 1 << 20)
            if mode & 0o777:
                os.chmod(target, mode & 0o777)
            count += 1
    return {"files": count}


def roots() -> dict[str, str]:
    """Return what entries of a cache are relative to, the innermost first: the home has another path in each job."""
    return {"workspace": os.getcwd(), "home": os.environ["HOME"], "tmp": "/tmp"}  # noqa: S108


def save(target: str, *paths: str) -> dict[str, object]:
    """Make a tar of paths under the workspace, the home or /tmp, which it names relative to these."""
    import tarfile

    chosen: dict[str, str] = {}
    left: list[str] = []
    for pattern in paths:
        place = os.path.abspath(os.path.expanduser(pattern))
        for path in sorted(glob.glob(place, recursive=True, include_hidden=True)):
            if name := _entry(path):
                chosen[path] = name
            else:
                left.append(path)
    with tarfile.open(target, "w:") as archive:
        for path, name in chosen.items():
            archive.add(path, name)
    return {"files": len(chosen), "size": os.path.getsize(target), "left": left}


def _entry(path: str) -> str:
    """Return the name of an entry, "" for what lies nowhere under the roots."""
    for name, root in roots().items():
        if path == root or path.startswith(root + os.sep):
            return os.path.normpath(os.path.join(name, os.path.relpath(path, root)))
    return ""


def restore(source: str) -> dict[str, object]:
    """Unpack what `save` made, only below the workspace, the home and /tmp."""
    import tarfile

    # Python 3.11.2 (Debian 12) has no extraction filters yet (PEP 706).
    options: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
    count = 0
    with tarfile.open(source, "r:") as archive:
        for member in archive:
            base, name = _place(member.name)
            if member.islnk():
                member.linkname = os.path.relpath(os.path.join(*_place(member.linkname)), base)
            member.name = name
            try:
                archive.extract(member, base, **options)
            except tarfile.TarError as error:
                raise ValueError(str(error)) from error
            count += 1
    return {"files": count}


def _place(entry: str) -> tuple[str, str]:
    """Return the root of an entry and the path from there. Raises `ValueError` for one that leads out of all."""
    known = roots()
    first, _, rest = entry.partition("/")
    within = first in known and ".." not in rest.split("/")
    target = os.path.realpath(os.path.join(known[first], rest)) if within else ""
    real = [os.path.realpath(root) for root in known.values()]
    if not any(target == root or target.startswith(root + os.sep) for root in real):
        raise ValueError(f"{entry!r} leads out of the job's directories")
    return known[first], rest or "."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
