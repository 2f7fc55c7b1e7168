"""Who can choose the text of a property of the `github` context."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache

from windlass.workflow.lint.shapes import is_fixed
from windlass.workflow.lint.words import words


class Trust(IntEnum):
    """How far a text can be trusted inside a script; the higher, the worse."""

    SAFE = 0
    SHAPED = (
        1  # from outside, but GitHub or the one who starts the run gives it its shape: a commit id, a login
    )
    TEXT = 2  # free text that takes some right to set: a label, a release's notes
    STRANGER = 3  # free text that anyone can set: a title, a comment, a branch of a fork, a commit's message


# Braces are alternatives, `*` is one segment.
_STRANGERS = """
    github.head_ref
    github.event.{issue,pull_request,discussion,comment,review,answer}.{title,body}
    github.event.comment.{path,diff_hunk}
    github.event.changes.{title,body}.from
    github.event.changes.{new_issue,old_issue,new_discussion}.{title,body}
    github.event.pull_request.head.{ref,label}
    github.event.pull_request.head.repo.{description,homepage,default_branch,master_branch}
    github.event.pull_request.head.repo.{topics,custom_properties}.*
    github.event.{workflow_run,check_suite,check_run.check_suite}.head_branch
    github.event.{workflow_run,check_suite,check_run,check_run.check_suite}.pull_requests.*.head.ref
    github.event.workflow_run.display_title
    github.event.workflow_run.head_repository.description
    github.event.{head_commit,commits.*,workflow_run.head_commit,check_suite.head_commit}.message
    github.event.{head_commit,commits.*,workflow_run.head_commit,check_suite.head_commit}.{author,committer}.{name,email}
    github.event.{merge_group.head_commit,commit.commit}.message
    github.event.{merge_group.head_commit,commit.commit}.{author,committer}.{name,email}
    github.event.pages.*.{page_name,title,summary}
    github.event.forkee.{description,homepage}
"""
_TEXTS = re.compile(
    r"github\.event\.(client_payload|deployment\.payload)\b.*"
    r"|.*\.(title|body|message|summary|text|description|homepage|commit_title|commit_message|body_html)"
    r"|.*\.(labels\.\*|label|milestone|release|category|environment|project|project_card|assets\.\*)\.(name|label|note)"
    r"|.*\.(name|title|body|description)\.from"
    r"|.*\.(custom_properties|topics)(\.\*)?"
    r"|.*\.pusher\.email|github\.event\.(environment|deployment\.task)"
)
_EVENTS = {  # the events whose payload has these parts
    "pull_request": "pull_request pull_request_target pull_request_review pull_request_review_comment",
    "issue": "issues issue_comment",
    "comment": "issue_comment pull_request_review_comment commit_comment discussion_comment",
    "review": "pull_request_review",
    "discussion": "discussion discussion_comment",
    "workflow_run": "workflow_run",
    "head_commit": "push",
    "commits": "push",
}
_OWN = words(
    "github.actor github.triggering_actor github.base_ref github.ref github.ref_name github.ref_protected "
    "github.event.ref github.event.base_ref github.workflow_ref"
)
_SAFE = re.compile(r"github\.(?!event\b|head_ref\b)[a-z_]+")


def _alternatives(pattern: str) -> list[str]:
    match = re.search(r"\{([^}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [made for option in match[1].split(",") for made in _alternatives(before + option + after)]


_PATHS = tuple(made for line in _STRANGERS.split() for made in _alternatives(line))
_STRANGER = frozenset(_PATHS)


@lru_cache(maxsize=4096)
def trust(path: str) -> Trust:
    """Classify one property. `path` is in lower case, with `*` where an index or an unknown key stands."""
    if path in _STRANGER or _matches_unknown(path):
        return Trust.STRANGER
    if path.startswith("github.event.inputs."):
        return Trust.SHAPED
    if _TEXTS.fullmatch(path):
        return Trust.TEXT
    if path in _OWN:
        return Trust.SHAPED
    if _SAFE.fullmatch(path) or is_fixed(path):
        return Trust.SAFE
    return Trust.SHAPED if path.startswith("github.event.") else Trust.SAFE


def _matches_unknown(path: str) -> bool:
    """Whether a path with a key that is known only in the run (`*`) may be a stranger's text."""
    if "*" not in path:
        return False
    parts = path.split(".")
    return any(
        len(known := candidate.split(".")) == len(parts)
        and all(mine in {theirs, "*"} or theirs == "*" for mine, theirs in zip(parts, known, strict=True))
        for candidate in _PATHS
    )


@lru_cache(maxsize=1024)
def trust_whole(path: str) -> Trust:
    """Classify an object that is written out as a whole, as `toJSON` does: by the worst in it."""
    inside = path + "."
    if any(candidate.startswith(inside) for candidate in _PATHS):
        return Trust.STRANGER
    if path == "github.event" or path.startswith(("github.event.client_payload", "github.event.inputs")):
        return Trust.TEXT
    return max(trust(path), Trust.TEXT if "labels" in path else Trust.SAFE)


def possible(path: str, events: frozenset[str] | None) -> bool:
    """Whether a property has a value in one of these events. None: any event, or unknown."""
    if events is None or "workflow_call" in events:
        return True
    if path == "github.head_ref":
        return bool(events & {"pull_request", "pull_request_target"})
    parts = path.split(".")
    needed = _EVENTS.get(parts[2]) if len(parts) > 2 and parts[1] == "event" else None
    return needed is None or bool(events & set(needed.split()))
