"""What stands after `uses:`; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from windlass.runner.errors import UnknownActionError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+\Z")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@-]*\Z")
_SHORT = re.compile(r"[0-9a-f]{7,39}\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """An action by its place: in the workspace (`local`), in a repository, beside the caller (`own`), an image."""

    kind: Literal["local", "hosted", "own", "image"]
    path: str = ""
    """Of the directory in the workspace or repository; of an image its name."""
    repository: str = ""
    ref: str = ""

    @property
    def short(self) -> bool:
        """Whether the ref looks like the beginning of a commit, which names nothing for sure."""
        return bool(_SHORT.match(self.ref))


def reference(uses: str) -> Reference:
    """Read `uses:`. Raises `UnknownActionError` on what is none of GitHub's forms."""
    text = uses.strip()
    if text.startswith("docker://"):
        return Reference("image", text.removeprefix("docker://"))
    if text in {".", "./"} or text.startswith(("./", "../")):
        return Reference("local", text.rstrip("/"))
    if text.startswith("$/"):
        return Reference("own", _inner(uses, text.removeprefix("$/")))
    name, at, ref = text.partition("@")
    parts = name.strip("/").split("/")
    repository, path = "/".join(parts[:2]), "/".join(parts[2:])
    if not at or not _REPOSITORY.match(repository) or not _REF.match(ref) or ".." in ref:
        raise UnknownActionError(
            f"{uses}: not the name of an action: write OWNER/NAME[/PATH]@REF, ./PATH or docker://IMAGE"
        )
    return Reference("hosted", _inner(uses, path), repository, ref)


def _inner(uses: str, path: str) -> str:
    if ".." in path.split("/"):
        raise UnknownActionError(f"{uses}: the path leads out of the repository")
    return path.strip("/")
