"""Steps in the background: `background: true`, `parallel`, and the steps that wait for them or cancel them.

As on GitHub's runner: such a step sees the job as it is when its turn comes, and what it does (outputs, outcome,
variables, PATH, post steps) is seen by the steps after the one that waits for it or cancels it. At most ten run
at a time. What nobody waited for is waited for before the post steps. A step that was cancelled by name does
not count; all others do, whatever `continue-on-error` the waiting step has.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from windlass.runner.errors import CancelledError, TimedOutError
from windlass.runner.execute import Planned, execute, plan
from windlass.runner.step import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.runner.state import JobState
    from windlass.runner.step import StepRun
    from windlass.runner.supervise import Control

MOST = 10
_PATIENCE = 30.0
"""Seconds after everything should have ended, in which what hears nothing may end all the same."""


@dataclass
class Task:
    """One step in the background."""

    step: Planned
    state: JobState
    before: JobState
    run: StepRun
    result: Result | None = None
    named: bool = False
    """Whether it was cancelled by name."""
    taken: bool = False

    @property
    def control(self) -> Control:
        """What ends it."""
        return self.state.control

    def work(self) -> None:
        """Run the step, in a thread of its own."""
        self.control.thread = threading.get_ident()
        try:
            self.result = execute(self.state, self.step, self.run)
        except (CancelledError, TimedOutError):  # it came when the action was over
            self.end("cancelled", "The operation was cancelled.")
        except BaseException as error:
            self.end("failure", f"the runner itself failed ({type(error).__name__}: {error})")
            raise

    def end(self, outcome: str, reason: str = "") -> None:
        """Record an end without a process."""
        self.result = self.run.finish(Result(outcome, outcome, reason))
        self.state.steps[self.step.id] = {"outputs": {}, "outcome": outcome, "conclusion": outcome}


@dataclass
class Background:
    """All steps in the background of one job. Used by the main thread."""

    state: JobState
    open: Callable[[JobState, str, int], StepRun]
    """Opens the next step's log: its state, name and line."""
    tasks: list[Task] = field(default_factory=list)
    _queue: deque[Task] = field(default_factory=deque)
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _news: tuple[int, int] = field(default_factory=os.pipe)

    def start(self, step: Planned, name: str) -> None:
        """Let a step begin, and go on."""
        own, before = self.state.beside(self.state.control.child()), self.state.beside(self.state.control)
        task = Task(step, own, before, self.open(own, name, step.line))
        self.tasks.append(task)
        with self._lock:
            self._queue.append(task)
            self._fill()

    def obey(self, step: Planned, run: StepRun) -> Result:
        """Do what a `wait`, `wait-all` or `cancel` step says."""
        if self.state.control.killed:
            return Result("skipped", "skipped")
        wanted = self._wanted(step)
        names = ", ".join(task.run.name for task in wanted) or "none"
        if step.kind == "cancel":
            run.say(f"Cancelling in the background: {names}")
            self._cancel(wanted)
        else:
            run.say(f"Waiting for what runs in the background: {names}")
        self._wait(wanted)
        for task in wanted:
            self._take(task)
            run.say(f"  {task.run.name}: {task.result.conclusion if task.result else 'cancelled'}")
        return Result("success", "success") if step.kind == "cancel" else _together(wanted)

    def left(self) -> bool:
        """Return whether there are steps that nobody has waited for."""
        return any(not task.taken for task in self.tasks)

    def results(self) -> list[Result]:
        """Return how all steps ended that count for the job."""
        found = [(task.result, task.named) for task in self.tasks if task.result]
        return [result for result, named in found if not (named and result.conclusion == "cancelled")]

    def _wanted(self, step: Planned) -> list[Task]:
        if step.kind == "wait-all":
            return [task for task in self.tasks if not task.taken]
        return [task for task in self.tasks if task.step.key in step.targets]

    def _fill(self) -> None:
        while self._queue and self._running < MOST:
            task = self._queue.popleft()
            self._running += 1
            threading.Thread(target=self._run, args=(task,), daemon=True, name=task.step.id).start()

    def _run(self, task: Task) -> None:
        try:
            task.work()
        finally:
            with self._lock:
                self._running -= 1
                self._fill()
            os.write(self._news[1], b"!")

    def _cancel(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            with self._lock:
                waiting = task in self._queue
                if waiting:
                    self._queue.remove(task)
            task.named = True
            if waiting:
                task.end("cancelled", "The operation was cancelled.")
            elif task.result is None:
                task.control.request(forced=True)

    def _wait(self, tasks: Sequence[Task]) -> None:
        """Wait until all of these are over. What the job hears meanwhile, they hear themselves."""
        control = self.state.control
        with selectors.DefaultSelector() as selector:
            selector.register(self._news[0], selectors.EVENT_READ)
            selector.register(control.fileno(), selectors.EVENT_READ)
            while any(task.result is None for task in tasks):
                until = min((task.control.deadline for task in tasks if task.result is None), default=0)
                wait = None if until == float("inf") else until + _PATIENCE - time.monotonic()
                if wait is not None and wait <= 0:
                    break
                for key, _ in selector.select(wait):
                    os.read(key.fd, 64)
        for task in tasks:
            if task.result is None:
                task.end("cancelled", "It did not end.")

    def _take(self, task: Task) -> None:
        if not task.taken:
            task.taken = True
            self.state.take(task.step.id, task.state, task.before)


def plan_all(steps: Sequence[dict[str, Any]]) -> list[Planned]:
    """Return the steps of a job, `parallel` written out. Raises `RunnerError` for what cannot be run."""
    planned: list[Planned] = []
    for index, step in enumerate(steps):
        group = step.get("parallel")
        if not group:
            planned.append(_planned(index, step, planned))
            continue
        inner = [replace(plan(len(planned) + at, item), background=True) for at, item in enumerate(group)]
        ids = tuple(item.key for item in inner)
        waiting = Planned(str(step.get("id") or ""), str(step.get("name") or "Parallel group"), _line(step))
        planned += [*inner, replace(waiting, kind="wait", targets=ids, key=f"{index}", data=step)]
    return planned


def _planned(index: int, step: dict[str, Any], before: Sequence[Planned]) -> Planned:
    kind = next((kind for kind in ("wait", "wait-all", "cancel") if step.get(kind)), "")
    if not kind:
        return replace(plan(len(before), step), background=_true(step.get("background")))
    given = step[kind]
    wanted = {
        str(name).lower() for name in ([given] if isinstance(given, str) else given if kind == "wait" else ())
    }
    targets = tuple(one.key for one in before if one.background and one.id.lower() in wanted)
    name = str(step.get("name") or {"wait": "Wait", "wait-all": "Wait for all", "cancel": "Cancel"}[kind])
    return Planned(
        str(step.get("id") or f"__{index}"), name, _line(step), kind=kind, targets=targets, data=step
    )


def _line(step: dict[str, Any]) -> int:
    return int(step.get("line") or 0)


def _true(value: object) -> bool:
    return value is True or str(value).strip().lower() == "true"


def _together(tasks: Sequence[Task]) -> Result:
    """Return how a step ends that waited for these."""
    for outcome, verb in (("failure", "failed"), ("cancelled", "was cancelled")):
        ended = [(task.run.name, task.result) for task in tasks if task.result]
        if found := [f"{name} ({result.reason})" for name, result in ended if result.conclusion == outcome]:
            return Result(outcome, outcome, f"In the background {verb}: {'; '.join(found)}")
    return Result("success", "success")
