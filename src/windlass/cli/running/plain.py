"""Plain lines, for what is no terminal: each with the job and the step that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.cli.looks import duration
from windlass.cli.running.model import SETUP, Event, JobView, Model, heading

if TYPE_CHECKING:
    from collections.abc import Callable

MARKS = {
    "success": "ok",
    "failure": "FAILED",
    "timed_out": "TIMED OUT",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


class Plain:
    """Writes a line as soon as there is one."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool = False) -> None:
        self._write = write
        self._verbose = verbose
        self.model = Model()

    def tell(self, event: Event) -> None:
        """Take an event in and say what it means."""
        self.model.apply(event)
        handler = getattr(self, "_on_" + str(event["kind"]).replace(".", "_"), None)
        if handler is not None:
            handler(event)

    def _say(self, job: JobView | None, text: str, step: str = "") -> None:
        parts = [self.model.title(job) if job else "", step, text]
        self._write(" | ".join(part for part in parts if part))

    def _on_plan(self, event: Event) -> None:
        for line in heading(event):
            self._write(line)
        if event["isolation"] == "host":
            self._write("isolation: none (host): steps may change anything that you may")

    def _on_cancelling(self, event: Event) -> None:
        self._write("killing" if event["again"] else "cancelling; once more to kill")

    def _on_job_started(self, event: Event) -> None:
        self._say(self.model.job(event), "started")

    def _on_log(self, event: Event) -> None:
        job = self.model.job(event)
        step = job.steps.get(event["step"]) if job else None
        dull = (
            event["step"] == SETUP or event.get("head") or (step is not None and step.name == "Complete job")
        )
        if job is None or (dull and not self._verbose) or event["line"] == "##[endgroup]":
            return
        self._say(job, event["line"], step.name if step else "")

    def _on_step_finished(self, event: Event) -> None:
        quiet = event["step"] == SETUP or event["conclusion"] == "skipped" or event["name"] == "Complete job"
        if self._verbose or event["conclusion"] != "success" or not quiet:
            mark = MARKS.get(event["conclusion"], event["conclusion"])
            if not (quiet and event["conclusion"] == "success"):
                self._say(self.model.job(event), f"{mark} {duration(event['seconds'])}", event["name"])

    def _on_job_finished(self, event: Event) -> None:
        job = self.model.job(event)
        if job is None or (job.conclusion == "skipped" and not job.asked):
            return
        why = f": {job.reason}" if job.reason and job.conclusion != "success" else ""
        self._say(
            job, f"{MARKS.get(job.conclusion or '', '?')} {duration(job.seconds)}{why}".replace(" :", ":")
        )
