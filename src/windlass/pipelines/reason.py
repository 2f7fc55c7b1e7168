"""Why something waits or failed: a value that is written when the decision is taken."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run or a job stands where it stands.

    `code` is for programs, `text` one sentence for people, `evidence` what shows it (may have several lines),
    `remedy` the command or change that helps.
    """

    code: str
    text: str
    evidence: str = ""
    remedy: str = ""

    def to_json(self) -> str:
        """Return it as a JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None) -> Reason | None:
        """Read what `to_json` wrote; None stays None."""
        return cls(**json.loads(text)) if text else None


def needs(keys: list[str], text: str = "") -> Reason:
    """Say that it waits for other jobs of the run."""
    return Reason("needs", text or f"waits for {', '.join(keys)}", ", ".join(keys))


def capacity(slots: int) -> Reason:
    """Say that it waits for a free slot."""
    remedy = "raise `capacity` in the server's settings to run more jobs at the same time"
    return Reason("capacity", f"waits for a slot: all {slots} are taken", remedy=remedy)


def concurrency(group: str, holder: str) -> Reason:
    """Say that it waits for the holder of its concurrency group."""
    return Reason(
        "concurrency",
        f"waits for {holder}, which holds the concurrency group {group!r}",
        remedy="cancel the holder, or set `cancel-in-progress: true` in the workflow",
    )


def replaced(group: str, by: str) -> Reason:
    """Was pending in its concurrency group when a newer one came."""
    return Reason("replaced", f"replaced by {by}, which is newer in the concurrency group {group!r}")


def approval(environment: str, approvers: list[str], run: int, job: str) -> Reason:
    """Say that somebody has to let it pass, and who may."""
    who = ", ".join(approvers)
    if not who:
        return Reason(
            "approval",
            f"waits for an approval for {environment}, which nobody may give",
            "who started the run may not approve it, and that is all its approvers, or not known",
            "name another approver with `windlass environment set`",
        )
    return Reason(
        "approval", f"waits for {who} to approve it for {environment}", who, f"windlass approve {run} {job}"
    )


def timer(environment: str, due: float) -> Reason:
    """Say that the environment's wait timer runs."""
    at = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Reason("wait-timer", f"waits for the timer of {environment} until {at}", at)


def rejected(environment: str, by: str, comment: str) -> Reason:
    """Say that somebody did not let it pass."""
    return Reason("rejected", f"{by} rejected it for {environment}", comment)


def not_admitted(environment: str, ref: str, branches: tuple[str, ...]) -> Reason:
    """Say that runs of this ref may not use the environment."""
    return Reason(
        "branch-policy",
        f"{ref} may not use the environment {environment}",
        f"it admits {', '.join(branches)}",
        "change its branches with `windlass environment set`, or deploy from one of these",
    )


def legs(text: str) -> Reason:
    """Say that it waits for another leg of its matrix (`max-parallel`)."""
    return Reason("max-parallel", text)


def below(conclusion: str, names: list[str]) -> Reason:
    """Say how a job ended that called a workflow: as the jobs of that one did."""
    words = {"failure": "failed", "cancelled": "cancelled", "skipped": "skipped"}
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Reason("below", f"{words.get(conclusion, conclusion)}: {listed or 'the workflow that it calls'}")


def too_many(limit: int) -> Reason:
    """Say that the run would have too many jobs."""
    return Reason(
        "too-many-jobs",
        f"the run would have more than {limit} jobs, all legs and called workflows counted",
        remedy="make the matrix smaller, or split the workflow",
    )


def unstarted(why: Reason | None) -> Reason:
    """Say that the run's workflow cannot be read, so that none of its jobs runs."""
    return Reason("skipped", why.text if why else "the workflow cannot be read")


def fail_fast(text: str) -> Reason:
    """Another leg of its matrix failed."""
    return Reason(
        "fail-fast",
        f"cancelled because {text}",
        remedy="set `strategy.fail-fast: false` to let the other jobs of the matrix go on",
    )


def cancelled(by: str) -> Reason:
    """Somebody asked for it."""
    return Reason("cancelled", f"cancelled by {by}")


def lost(pid: int | None, evidence: str) -> Reason:
    """Say that the process of the job ended without telling how."""
    who = f"process {pid}" if pid else "the process"
    return Reason(
        "lost",
        f"{who} of this job ended without a result",
        evidence,
        "killed from outside, out of memory, or the machine restarted: run it again with `windlass runs rerun`",
    )


def not_launched(evidence: str) -> Reason:
    """Say that the job's process could not be started."""
    return Reason(
        "launch-failed", "the job's process could not be started", evidence, "see `windlass doctor`"
    )


def time_limit(seconds: float) -> Reason:
    """Say that it ran into the server's own limit over all jobs."""
    return Reason(
        "time-limit",
        f"ran longer than the server allows ({seconds / 3600:g} h)",
        remedy="raise `job_limit` in the server's settings, or split the job",
    )


def deadlock(group: str, holder: str) -> Reason:
    """Say that the job asks for the group of its own run, or of the job that calls its workflow."""
    return Reason(
        "deadlock",
        f"{holder} holds the concurrency group {group!r} until this job is over, which so could never start",
        remedy="give the job's `concurrency` another group than that around it",
    )


def circle(group: str, holder: str) -> Reason:
    """Say that the job waits for a group whose holder waits, in the end, for this job."""
    return Reason(
        "deadlock",
        f"{holder} holds the concurrency group {group!r} and waits for a group that is held until this job is over",
        remedy="let workflows and jobs ask for their groups in the same order, or for one group only",
    )


def no_runner(labels: tuple[str, ...]) -> Reason:
    """No machine has these labels."""
    return Reason(
        "no-runner",
        f"no runner has the labels {', '.join(labels)}",
        remedy="change `runs-on`, or add the label to `labels` in the server's settings",
    )


def skipped(text: str) -> Reason:
    """Its condition was false."""
    return Reason("skipped", text)


def invalid(text: str, evidence: str = "") -> Reason:
    """Say that it cannot be planned."""
    return Reason("invalid", text, evidence, "see `windlass lint`")
