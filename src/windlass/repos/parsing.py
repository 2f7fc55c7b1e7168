"""What git prints, as records. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from windlass.repos.errors import GitError
from windlass.repos.names import ODD_IN_REF
from windlass.repos.records import Commit, Identity, TreeEntry

REFLOG = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (.*) <(.*)> (\d+) [+-]\d{4}(?:\t.*)?")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One movement of a ref, as its reflog tells it."""

    before: str
    after: str
    name: str
    email: str
    at: float


def parse_tree(output: bytes) -> list[TreeEntry]:
    """Parse `ls-tree -z -l`; submodules and folders are left out."""
    entries = []
    for line in output.split(b"\0"):
        meta, _, path = line.partition(b"\t")
        words = meta.split()
        if len(words) == 4 and words[1] == b"blob":
            mode, _, sha, size = (word.decode() for word in words)
            entries.append(TreeEntry(path.decode(errors="surrogateescape"), mode, sha, int(size)))
    return entries


def parse_commits(output: bytes) -> list[Commit]:
    """Parse `log --format=COMMIT_FORMAT`."""
    commits = []
    for record in output.decode(errors="replace").split("\x1e")[1:]:
        fields = record.split("\0")
        if len(fields) != 9:
            raise GitError(f"git log wrote a record of {len(fields)} fields instead of 9.")
        sha, parents, author, author_mail, committer, committer_mail, date, subject, body = fields
        commits.append(
            Commit(
                sha=sha,
                parents=tuple(parents.split()),
                author=Identity(author, author_mail),
                committer=Identity(committer, committer_mail),
                date=float(date),
                subject=subject,
                body=body.strip("\n"),
            )
        )
    return commits


def parse_names(output: bytes) -> list[str]:
    """Parse names that end in NUL."""
    return [name.decode(errors="surrogateescape") for name in output.split(b"\0") if name]


def parse_refs(output: bytes) -> dict[str, str]:
    """Parse lines of `ID REF` (or with a tab); refs with names that nobody may push are left out."""
    lines = output.decode(errors="surrogateescape").split("\n")
    found = (line.replace("\t", " ", 1).partition(" ") for line in lines)
    return {ref: sha for sha, _, ref in found if ref and not ODD_IN_REF.search(ref)}


def parse_head(output: bytes) -> str | None:
    """Parse `ls-remote --symref URL HEAD`: the default branch's short name."""
    found = re.search(rb"^ref: refs/heads/(\S+)\tHEAD$", output, re.MULTILINE)
    return found.group(1).decode(errors="replace") if found else None


def parse_reflog(text: str) -> list[LogLine]:
    """Parse a reflog file, oldest first; lines of another form (a write that was cut off) are left out."""
    found = (REFLOG.fullmatch(line) for line in text.split("\n"))
    return [LogLine(m[1], m[2], m[3], m[4], float(m[5])) for m in found if m]
