"""What is known of the runs so far, made of their events one by one; every view draws it. Pure but for the memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
SETUP = 0
LINES = 30
"""Lines of a step's log that are kept for the screen."""
FAILED = frozenset({"failure", "timed_out"})


@dataclass(slots=True)
class StepView:
    """One step of a job."""

    number: int
    name: str
    began: float
    conclusion: str | None = None
    seconds: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    head: bool | None = None
    """Whether the log is in its first group, which repeats what the file says; None before its first line."""

    def log(self, line: str) -> bool:
        """Take a line of the log; whether it says anything that the workflow file does not."""
        if self.head is None:
            self.head = line.startswith("##[group]Run ")
        if not self.head:
            self.lines.append(line)
            return True
        self.head = line != "##[endgroup]"
        return False


@dataclass(slots=True)
class JobView:
    """One job, a single leg where it has a matrix. `asked` is False where it is not to be run."""

    id: str
    key: str
    name: str
    run: int
    needs: tuple[str, ...] = ()
    asked: bool = True
    calls: bool = False
    """Whether it is a workflow of its own, whose jobs come behind it."""
    began: float | None = None
    conclusion: str | None = None
    seconds: float | None = None
    reason: str = ""
    remedy: str = ""
    steps: dict[int, StepView] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Its conclusion, else `running` or `waiting`."""
        return self.conclusion or ("running" if self.began is not None else "waiting")

    @property
    def depth(self) -> int:
        """How many workflows are around the run's own: a called job's key is below its caller's."""
        return self.key.count(".")

    @property
    def step(self) -> StepView | None:
        """The step that runs, or ran last."""
        return self.steps[max(self.steps)] if self.steps else None

    @property
    def failed_step(self) -> StepView | None:
        """The first step that failed."""
        return next((step for _, step in sorted(self.steps.items()) if step.conclusion in FAILED), None)

    def shown_steps(self) -> list[StepView]:
        """Return the steps that say something: set-up and clean-up only where they failed or last."""
        return [
            step
            for number, step in sorted(self.steps.items())
            if step.conclusion in FAILED
            or not (number == SETUP or step.name in {"Complete job", "Stop containers"})
        ]


@dataclass(slots=True)
class RunView:
    """One workflow's run."""

    id: int
    workflow: str
    path: str
    event: str
    began: float
    jobs: dict[str, JobView] = field(default_factory=dict)
    conclusion: str | None = None
    seconds: float | None = None
    ending: Event = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """Everything that is known."""

    plan: Event = field(default_factory=dict)
    runs: dict[int, RunView] = field(default_factory=dict)
    cancelling: int = 0

    def job(self, event: Event) -> JobView | None:
        """Return the job that an event is about."""
        number = event["job"].partition(".")[0]
        run = self.runs.get(int(number)) if number.isdecimal() else None
        return run.jobs.get(event["job"]) if run else None

    @property
    def several(self) -> bool:
        """Whether there is more than one run."""
        return len(self.runs) > 1

    def title(self, job: JobView) -> str:
        """Name a job, with its workflow where there are several."""
        return f"{self.runs[job.run].workflow} / {job.name}" if self.several else job.name

    def apply(self, event: Event) -> None:
        """Take an event in. One of a kind that is not known changes nothing."""
        handler = getattr(self, "_on_" + str(event["kind"]).replace(".", "_"), None)
        if handler is not None:
            handler(event)

    def _on_plan(self, event: Event) -> None:
        self.plan = event

    def _on_cancelling(self, event: Event) -> None:
        self.cancelling = 2 if event["again"] else 1

    def _on_run_started(self, event: Event) -> None:
        name = event["workflow"] if event["workflow"] != event["path"] else event["path"].rpartition("/")[2]
        run = RunView(event["run"], name, event["path"], event["event"], event["at"])
        for job in event["jobs"]:
            run.jobs[job["job"]] = JobView(
                job["job"], job["key"], job["name"], run.id, tuple(job["needs"]), job["asked"]
            )
        self.runs[run.id] = run

    def _on_job_ready(self, event: Event) -> None:
        """Put the legs in the place of the job that stood for them."""
        run = self.runs[event["run"]]
        legs = {leg["job"]: JobView(leg["job"], leg["key"], leg["name"], run.id) for leg in event["legs"]}
        jobs: dict[str, JobView] = {}
        for name, job in run.jobs.items():
            if name == event["job"]:
                jobs |= {key: _heir(leg, job) for key, leg in legs.items()}
            elif name not in legs:
                jobs[name] = job
        run.jobs = jobs | {key: leg for key, leg in legs.items() if key not in jobs}

    def _on_job_called(self, event: Event) -> None:
        """Put the jobs of a called workflow behind the job that calls it."""
        run, jobs = self.runs[event["run"]], {}
        inner = {one["job"]: JobView(one["job"], one["key"], one["name"], run.id) for one in event["jobs"]}
        for name, job in run.jobs.items():
            jobs[name] = job
            if name == event["job"]:
                job.calls = True
                job.began = event["at"] if job.began is None else job.began
                jobs |= inner
        run.jobs = jobs

    def _on_job_waiting(self, event: Event) -> None:
        if (job := self.job(event)) is not None:
            job.reason = (event.get("reason") or {}).get("text", "")

    def _on_job_started(self, event: Event) -> None:
        if (job := self.job(event)) is not None:
            job.began, job.reason = event["at"], ""

    def _on_step_started(self, event: Event) -> None:
        if (job := self.job(event)) is not None:
            job.steps[event["step"]] = StepView(event["step"], event["name"], event["at"])

    def _on_log(self, event: Event) -> None:
        job = self.job(event)
        if job is not None and (step := job.steps.get(event["step"])) is not None:
            event["head"] = not step.log(event["line"])

    def _on_step_finished(self, event: Event) -> None:
        job = self.job(event)
        if job is not None and (step := job.steps.get(event["step"])) is not None:
            step.conclusion, step.seconds = event["conclusion"], event["seconds"]
            if step.conclusion not in FAILED:
                step.lines.clear()

    def _on_job_finished(self, event: Event) -> None:
        if (job := self.job(event)) is not None:
            why = event.get("reason") or {}
            job.conclusion, job.seconds = event["conclusion"], event["seconds"]
            job.reason, job.remedy = why.get("text", ""), why.get("remedy", "")

    def _on_run_finished(self, event: Event) -> None:
        run = self.runs[event["run"]]
        run.conclusion, run.seconds, run.ending = event["conclusion"], event["seconds"], event


def _heir(leg: JobView, job: JobView) -> JobView:
    leg.needs, leg.asked = job.needs, job.asked
    return leg


def clean(line: str) -> str:
    """Return a line of a log without the runner's own marks, and without what would move the cursor."""
    for mark in ("##[group]", "##[endgroup]", "##[error]", "##[warning]", "##[notice]", "##[debug]"):
        line = line.removeprefix(mark)
    return "".join(
        char for char in line.rpartition("\r")[2].expandtabs(4) if char.isprintable() or char == "\x1b"
    )


def said(log: list[str]) -> list[str]:
    """Return the lines of a step's log without the group at its beginning that repeats the workflow file."""
    end = log.index("##[endgroup]") if "##[endgroup]" in log else -1
    inner = any(line.startswith("##[group]") for line in log[1 : max(end, 1)])
    return log if inner else log[end + 1 :]


def heading(plan: Event) -> list[str]:
    """Say what is run: what was chosen, and what of it is not committed."""
    changed = len(plan["changed"])
    return [*plan["notes"], *([f"with {changed} uncommitted file{'s' * (changed != 1)}"] if changed else [])]
