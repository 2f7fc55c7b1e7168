"""Rows of runs, deliveries and their evidence, written by the rooms' own queries."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from windlass.delivery.book import STAMPS

if TYPE_CHECKING:
    from windlass.store import Transaction

APP, REPO, GITOPS = "argocd/web", "acme/web", "acme/gitops-repo"
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
NASTY_MARK = '"><script>alert(1)</script>&'
SPEC = {
    "project": "default",
    "source": {"repoURL": f"https://github.com/{GITOPS}", "path": "web/overlays/production"},
    "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
}


def sha(text: object) -> str:
    return hashlib.sha1(str(text).encode()).hexdigest()


def digest(text: object) -> str:
    return f"sha256:{hashlib.sha256(str(text).encode()).hexdigest()}"


def push(tx: Transaction, repo: str, revision: str, at: float, *, ref: str = "refs/heads/main") -> None:
    tx.run(
        "repos.add_push",
        repo=repo,
        ref=ref,
        old_sha="0" * 40,
        new_sha=revision,
        pusher="anna",
        pusher_kind="user",
        at=at,
        options="[]",
        session=revision,
    )


def run(
    tx: Transaction,
    number: int,
    at: float,
    title: str = "A change",
    conclusion: str | None = "success",
    *,
    ref: str = "refs/heads/main",
    jobs: tuple[str, ...] = ("test", "build"),
    steps: int = 6,
    failing: str = "",
) -> int:
    """A run with its jobs and steps, and what it published; returns its id."""
    row = tx.one(
        "pipelines.insert_run",
        number=number,
        repository=REPO,
        path=".github/workflows/ci.yaml",
        workflow="ci",
        event="push",
        ref=ref,
        sha=sha(f"source {number}"),
        actor="anna",
        title=title,
        push=None,
        created_at=at,
    )
    assert row is not None
    identifier = int(row["id"])
    begin = at + 0.2
    for position, key in enumerate(jobs):
        failed = key == failing
        moving = conclusion is None and position == len(jobs) - 1
        end = None if moving else begin + 3.0
        job(tx, identifier, key, position, begin, end, failed=failed, steps=steps)
        begin = end or begin
    tx.run("pipelines.set_run_status", run=identifier, status="in_progress", started_at=at + 0.2)
    if conclusion is not None:
        tx.run("pipelines.finish_run", run=identifier, conclusion=conclusion, reason=None, at=begin)
    if conclusion == "success":
        tx.run(
            "pipelines.insert_image",
            run=identifier,
            job=f"{identifier}.build.1",
            image="ghcr.io/acme/web",
            digest=digest(number),
            tags=json.dumps(["main", f"sha-{sha(number)[:7]}"]),
            at=begin,
        )
    return identifier


def job(  # noqa: PLR0917 the columns that matter
    tx: Transaction,
    run_id: int,
    key: str,
    position: int,
    begin: float,
    end: float | None,
    *,
    failed: bool,
    steps: int,
) -> None:
    identifier = f"{run_id}.{key}.1"
    conclusion = "failure" if failed else "success"
    names = ("id", "run", "attempt", "key", "job", "leg", "legs", "expanded", "position", "name", "status")
    values = (identifier, run_id, 1, key, key, 0, 1, 1, position, key, "queued")
    nothing = dict.fromkeys(("reason", "matrix", "environment", "concurrency_group", "calls"))
    tx.run(
        "jobs.insert",
        **dict(zip(names, values, strict=True)),
        **nothing,
        place="",
        tolerated=0,
        limits="{}",
        cancel_in_progress=0,
        concurrency_queue="single",
        created_at=begin,
        ready_at=begin,
    )
    tx.run("jobs.assign", id=identifier, at=begin)
    tx.run("jobs.start", id=identifier, at=begin, pid=1, pid_started=1)
    each = (3.0 if end is None else end - begin) / steps
    for step in range(steps):
        tx.run(
            "jobs.start_step",
            job=identifier,
            step=step,
            name=f"Step {step}",
            line=step,
            at=begin + each * step,
        )
        last = step == steps - 1
        if last and end is None:
            return
        outcome = conclusion if last else "success"
        tx.run(
            "jobs.finish_step",
            job=identifier,
            step=step,
            outcome=outcome,
            conclusion=outcome,
            seconds=each,
            at=begin + each * (step + 1),
        )
    tx.run("jobs.finish", id=identifier, conclusion=conclusion, reason=None, outputs="{}", at=end)


GOOD = ("applied_at", "ready_at", "verified_candidate_at", "cut_over_at", "verified_live_at", "finalised_at")
BAD = ("applied_at", "detected_at", "traffic_back_at", "evidence_at", "restored_at", "reverted_at")


def delivery(  # noqa: PLR0917 the columns that matter
    tx: Transaction, number: int, at: float, state: str = "live", reason: str = "live", uid: str = "u"
) -> int:
    """A delivery of what run `number` published; returns its id."""
    row = tx.one(
        "delivery.insert",
        application=APP,
        uid=uid,
        repo=GITOPS,
        branch="main",
        revision=sha(f"gitops {number} {at}"),
        attempt=1,
        source="push",
        initiated_by="anna",
        reason="recorded",
        previous=None,
        created_at=at,
        committed_at=at,
    )
    assert row is not None
    identifier = int(row["id"])
    tx.run(
        "delivery.insert_deployment",
        uid=uid,
        revision=row["revision"],
        attempt=1,
        delivery=identifier,
        images=json.dumps({f"ghcr.io/acme/web:sha-{sha(number)[:7]}": digest(number)}),
        templates=json.dumps(
            {"Deployment/web/web": sha(number if state == "live" else f"{number} {state}")[:16]}
        ),
        files="[]",
        at=at,
    )
    tx.run("delivery.insert_image", delivery=identifier, image="ghcr.io/acme/web", digest=digest(number))
    values: dict[str, Any] = dict.fromkeys(STAMPS)
    final = state in {"live", "rolled_back", "failed", "held", "superseded"}
    reached = {"live": GOOD, "rolled_back": BAD, "verifying": GOOD[:2]}.get(state, GOOD[:1])
    for count, stamp in enumerate(reached):
        values[stamp] = at + 0.4 * (count + 1)
    if final:
        values["ended_at"] = at + 0.4 * len(reached)
    tx.run("delivery.move", id=identifier, state=state, reason=reason, **values)
    return identifier


def evidence(tx: Transaction, number: int, kind: str, subject: str, data: Any) -> None:
    tx.run(
        "delivery.insert_evidence",
        delivery=number,
        at=time.time(),
        kind=kind,
        subject=subject,
        data=json.dumps(data),
    )


def waiting(tx: Transaction, number: int, key: str, environment: str, why: dict[str, str]) -> None:
    """Have a job of a run wait for its environment."""
    tx._connection.execute("DELETE FROM steps WHERE job = ?", (f"{number}.{key}.1",))
    tx._connection.execute(
        "UPDATE jobs SET status = 'waiting', environment = ?, reason = ?, started_at = NULL, assigned_at = NULL "
        "WHERE run = ? AND key = ?",
        (json.dumps({"name": environment}), json.dumps(why), number, key),
    )
