"""What job processes write in `events.jsonl`, carried into the state: each line once, in order.

How far a job's file was read stands in the job's row and moves in the same transaction as what was read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog

from windlass.pipelines.apply import finish_job, run_of, subject
from windlass.pipelines.reason import Reason
from windlass.workflow.jobs import CONCLUSIONS, Event, JobError, decode

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.pipelines.records import Job
    from windlass.store import Transaction

CHUNK = 1 << 20
MAX_LINE = 8 << 20
MAX_ANNOTATIONS = 500
MAX_MESSAGE = 16 << 10
MAX_SUMMARY = 1 << 20
MAX_OUTPUTS = 1 << 20
MAX_URL = 2000
LEVELS = ("error", "warning", "notice")
EVENTS = "events.jsonl"

log = structlog.get_logger()


def read_new(directory: Path, offset: int) -> tuple[list[Event], int]:
    """Return the events of the complete lines after `offset`, and the offset after them. At most about `CHUNK` bytes.

    A line that is no event is left out with a warning: it must not stop those after it.
    """
    try:
        with (directory / EVENTS).open("rb") as file:
            file.seek(offset)
            chunk = file.read(CHUNK)
            if len(chunk) == CHUNK and b"\n" not in chunk:
                chunk += file.readline(MAX_LINE)
    except FileNotFoundError:
        return [], offset
    used = chunk.rfind(b"\n") + 1
    events = []
    for line in chunk[:used].splitlines():
        try:
            events.append(decode(line))
        except JobError as error:
            log.warning("job event not understood", directory=directory.name, error=str(error))
    return events, offset + used


class Ingest:
    """Carries one job's events into one transaction."""

    def __init__(self, tx: Transaction, job: Job) -> None:
        self.tx = tx
        self.job = job
        self.run = run_of(job.id)

    def take(self, events: list[Event], offset: int) -> None:
        """Apply the events and remember how far the file is read."""
        for event in events:
            handler = getattr(self, "_" + str(event["kind"]).replace(".", "_"), None)
            if handler is not None:
                handler(event, float(event["at"]))
        self.tx.run("jobs.read", id=self.job.id, events_read=offset)

    def _record(self, kind: str, **data: Any) -> None:
        self.tx.record(kind, subject(self.run), job=self.job.id, **data)

    def _job_started(self, event: Event, at: float) -> None:
        row = {"pid": int(event["pid"]), "pid_started": int(event["started"])}
        if self.tx.run("jobs.start", id=self.job.id, at=at, **row):
            self._record("job.started", name=self.job.name, pid=row["pid"])

    def _step_started(self, event: Event, at: float) -> None:
        step = {"step": int(event["step"]), "name": str(event["name"])[:500], "line": event["line"]}
        self.tx.run("jobs.start_step", job=self.job.id, at=at, **step)
        self._record("step.started", **step)

    def _step_finished(self, event: Event, at: float) -> None:
        step = {key: event[key] for key in ("step", "outcome", "conclusion", "seconds")}
        found = self.tx.one("jobs.finish_step", job=self.job.id, at=at, **step)
        self._record("step.finished", name=found["name"] if found else "", **step)

    def _annotation(self, event: Event, at: float) -> None:
        if event["level"] not in LEVELS:
            return
        count = self.tx.one("pipelines.count_annotations", job=self.job.id) or {"count": 0}
        if int(count["count"]) >= MAX_ANNOTATIONS:
            return
        row = {key: event[key] for key in ("step", "level", "file", "line", "title")}
        row |= {"message": str(event["message"])[:MAX_MESSAGE], "col": event["column"], "at": at}
        self.tx.run("pipelines.insert_annotation", run=self.run, job=self.job.id, **row)
        self._record("annotation", **{key: row[key] for key in ("step", "level", "message", "file", "line")})

    def _action(self, event: Event, at: float) -> None:
        self._fact("action", {"uses": str(event["uses"])[:500], "sha": str(event["sha"])[:64]}, at)

    def _image_used(self, event: Event, at: float) -> None:
        used = {"image": str(event["image"])[:500], "digest": str(event["digest"])[:100]}
        self._fact("image", used, at)
        self._record("image.used", **used)

    def _image_built(self, event: Event, at: float) -> None:
        self._fact("built", {"image": str(event["image"]), "seconds": float(event["seconds"])}, at)
        self._record("image.built", image=str(event["image"]), seconds=float(event["seconds"]))

    def _image_published(self, event: Event, at: float) -> None:
        image = {"image": str(event["image"]), "digest": str(event["digest"])}
        tags = [str(tag) for tag in event["tags"] or ()]
        self.tx.run(
            "pipelines.insert_image", run=self.run, job=self.job.id, tags=json.dumps(tags), at=at, **image
        )
        self._record("image.published", tags=tags, **image)

    def _summary(self, event: Event, _at: float) -> None:
        markdown = str(event["markdown"])[:MAX_SUMMARY]
        self.tx.run("jobs.add_summary", job=self.job.id, step=int(event["step"]), markdown=markdown)

    def _artifact(self, event: Event, at: float) -> None:
        self._fact("artifact", {key: event[key] for key in ("name", "path", "size")}, at)

    def _coverage(self, event: Event, at: float) -> None:
        self._fact("coverage", {"percent": float(event["percent"])}, at)
        self._record("coverage", percent=float(event["percent"]))

    def _fact(self, kind: str, data: dict[str, Any], at: float) -> None:
        self.tx.run(
            "pipelines.insert_fact", run=self.run, job=self.job.id, kind=kind, data=json.dumps(data), at=at
        )

    def _environment(self, event: Event, _at: float) -> None:
        url = str(event["url"])
        if url.startswith(("https://", "http://")) and len(url) <= MAX_URL and self.job.environment:
            named = {**self.job.environment, "url": url}
            self.tx.run("jobs.set_environment", id=self.job.id, environment=json.dumps(named))

    def _deployed(self, conclusion: str, at: float) -> None:
        """Write down a deployment, for a job that names an environment and does not say `deployment: false`."""
        row = self.tx.one("jobs.job", id=self.job.id)
        named = json.loads(row["environment"] or "null") if row else None
        if named and named.get("deployment", True):
            url = str(named.get("url") or "")
            data = {"environment": named["name"], "url": "" if "${{" in url else url, "state": conclusion}
            self._fact("deployment", {**data, "job": self.job.key}, at)
            self._record("deployment", **data)

    def _job_finished(self, event: Event, at: float) -> None:
        conclusion = event["conclusion"] if event["conclusion"] in CONCLUSIONS else "failure"
        outputs = {str(key): str(value) for key, value in (event["outputs"] or {}).items()}
        why = self.job.reason if conclusion == "cancelled" else None
        if event["reason"]:
            why = Reason(str(conclusion), str(event["reason"])[:MAX_MESSAGE])
        if len(json.dumps(outputs)) > MAX_OUTPUTS:
            outputs, conclusion = {}, "failure"
            why = Reason("outputs-too-large", "the job's outputs are larger than 1 MiB together")
        if finish_job(self.tx, self.job.id, conclusion, why, at=at, outputs=outputs):
            self._deployed(conclusion, at)
