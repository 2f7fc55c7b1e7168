"""Decides about pull requests. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from windlass.repos.pulls.records import Blocker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from windlass.repos.pulls.records import Check, Protection, Pull

Motion = Literal["rest", "close", "look"]


def motion(pull: Pull, refs: Mapping[str, str]) -> Motion:
    """Say what an open pull request asks for, given the branches: nothing, to be closed, or to be worked out anew."""
    head, base = refs.get(f"refs/heads/{pull.head}"), refs.get(f"refs/heads/{pull.base}")
    if pull.merging is not None:
        return "look"  # what a merge that was cut off has moved counts before what is gone
    if head is None or base is None:
        return "close"
    return "rest" if (head, base) == (pull.head_sha, pull.base_sha) else "look"


def rules_for(branch: str, protections: Iterable[Protection]) -> list[Protection]:
    """Return the rules of a branch; all of them hold."""
    return [rule for rule in protections if fnmatchcase(branch, rule.pattern)]


def _names(check: Check) -> set[str]:
    return {check.name, f"{check.workflow} / {check.name}"} if check.workflow else {check.name}


def _check_blockers(rules: Sequence[Protection], checks: Sequence[Check]) -> Iterable[Blocker]:
    wait = "It runs, or waits to: `windlass runs` shows it."
    for name in dict.fromkeys(name for rule in rules for name in rule.checks):
        found = [check for check in checks if name in _names(check)]
        failed = [check for check in found if check.state == "failure"]
        if failed:
            yield Blocker("check-failed", f"The required check {name!r} failed.", f"See {failed[0].url}")
        elif not found:
            text = f"The required check {name!r} has not reported."
            yield Blocker(
                "check-missing", text, "Does a workflow with a job of this name run on pull requests?"
            )
        elif any(check.state != "success" for check in found):
            yield Blocker("check-pending", f"The required check {name!r} is not over.", wait)
    if any(rule.all_checks for rule in rules):
        if not checks:
            text = "All checks must be green, and none has reported."
            yield Blocker("check-missing", text, "Does a workflow run on pull requests?")
        for check in checks:
            if check.state == "failure":
                yield Blocker("check-failed", f"The check {check.name!r} failed.", f"See {check.url}")
            elif check.state != "success":
                yield Blocker("check-pending", f"The check {check.name!r} is not over.", wait)


def blockers(
    pull: Pull, protections: Iterable[Protection], checks: Sequence[Check], approvals: Collection[str]
) -> list[Blocker]:
    """Return all reasons why a pull request may not be merged now; `approvals` are those that count."""
    found = []
    if pull.state != "open":
        what = "merged" if pull.merged_at else "closed"
        found.append(Blocker("closed", f"Pull request {pull.number} is {what}.", "Open another one."))
        return found
    if pull.draft:
        remedy = f"Make it ready first: `windlass pr edit {pull.repository} {pull.number} --ready`."
        found.append(Blocker("draft", "It is a draft.", remedy))
    if not pull.mergeable:
        listed = ", ".join(pull.conflicts[:5])
        more = f" and {len(pull.conflicts) - 5} more" if len(pull.conflicts) > 5 else ""
        text = f"{pull.head} and {pull.base} conflict in {listed}{more}."
        remedy = f"Merge {pull.base} into {pull.head}, resolve, and push {pull.head}."
        found.append(Blocker("conflict", text, remedy))
    rules = rules_for(pull.base, protections)
    found += dict.fromkeys(_check_blockers(rules, checks))
    wanted = max((rule.approvals for rule in rules), default=0)
    if len(approvals) < wanted:
        asked = "1 approval" if wanted == 1 else f"{wanted} approvals"
        text = f"{pull.base} needs {asked} of this commit and has {len(approvals)}."
        remedy = f"Somebody else than its author runs `windlass pr approve {pull.repository} {pull.number}`."
        found.append(Blocker("approval", text, remedy))
    return found


def counting(approvals: Iterable[str], author: str, last_pusher: str) -> tuple[str, ...]:
    """Return the approvals that count: nobody approves what is their own, or what they pushed last."""
    return tuple(sorted(set(approvals) - {author, last_pusher}))
