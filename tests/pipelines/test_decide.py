"""The scheduler's decisions over generated workflows: whatever happens in whatever order, every job ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.pipelines.apply import limits, next_group
from windlass.pipelines.decide import Active, State, decide
from windlass.pipelines.effects import (
    AcquireJob,
    AcquireRun,
    CallJob,
    CancelJob,
    CancelRun,
    Effect,
    ExpandJob,
    FinishJob,
    FinishRun,
    StartJob,
    WaitJob,
    WaitRun,
)
from windlass.pipelines.engine import signals_due
from windlass.pipelines.groups import held
from windlass.pipelines.reason import cancelled
from windlass.pipelines.records import Job, Run
from windlass.pipelines.rerun import failed, named
from windlass.pipelines.runplan import Placeholder, RunPlan, read_called

ROUNDS = 500
RESTRICTED = {"contents": "read"}


def a_run(number: int, group: dict[str, Any] | None = None, repository: str = "acme/app") -> Run:
    return Run(
        id=number,
        number=number,
        repository=repository,
        path="ci.yaml",
        workflow="CI",
        event="push",
        ref="refs/heads/main",
        sha="0" * 40,
        actor="anna",
        title="",
        push=number,
        attempt=1,
        status="pending" if group else "queued",
        conclusion=None,
        reason=None,
        concurrency_group=group["group"] if group else None,
        cancel_in_progress=bool(group and group["cancel-in-progress"]),
        concurrency_queue="single",
        cancel_requested=None,
        superseded_by=None,
        created_at=float(number),
        started_at=None,
        finished_at=None,
    )


def a_job(run: int, key: str, position: int, **changes: Any) -> Job:
    job = Job(
        id=f"{run}.{key}.1",
        run=run,
        attempt=1,
        key=key,
        job=key,
        leg=0,
        legs=1,
        expanded=False,
        position=position,
        place="",
        calls=None,
        name=key,
        status="queued",
        conclusion=None,
        tolerated=False,
        reason=None,
        matrix=None,
        limits={},
        environment=None,
        outputs={},
        concurrency_group=None,
        cancel_in_progress=False,
        concurrency_queue="single",
        pid=None,
        pid_started=None,
        launches=0,
        events_read=0,
        cancel_requested=None,
        signals=0,
        created_at=float(run),
        ready_at=None,
        assigned_at=None,
        started_at=None,
        finished_at=None,
        cleaned_at=None,
    )
    return replace(job, **changes)


class World:
    """The state tables in memory, and what may happen to them from outside."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.runs: dict[int, Run] = {}
        self.jobs: dict[str, Job] = {}
        self.plans: dict[int, RunPlan] = {}
        self.started: list[str] = []

    def add(self, definition: dict[str, Any]) -> None:
        number = len(self.runs) + 1
        definition = dict(definition)
        files = {
            f"./.github/workflows/{name}.yml": yaml.safe_dump(file, sort_keys=False)
            for name, file in definition.pop("files", {}).items()
        }
        source = yaml.safe_dump(definition, sort_keys=False)
        parsed, called = read_called(
            source, "ci.yaml", frozenset(files.items()), frozenset(RESTRICTED.items())
        )
        assert parsed.workflow is not None, parsed.diagnostics
        contexts: dict[str, Any] = {"github": {}, "inputs": {}, "vars": {}}
        self.plans[number] = RunPlan(parsed.workflow, contexts, RESTRICTED, called)
        self.runs[number] = a_run(number, definition.get("concurrency"))
        for position, key in enumerate(parsed.workflow.jobs):
            job = a_job(number, key, position)
            self.jobs[job.id] = job

    def of(self, run: int) -> tuple[Job, ...]:
        found = [job for job in self.jobs.values() if job.run == run]
        return tuple(sorted(found, key=lambda job: (job.position, job.place, job.leg)))

    def state(self) -> State:
        open_ = [run for run in self.runs.values() if run.status != "completed"]
        return State(
            tuple(Active(run, self.of(run.id), self.plans[run.id]) for run in open_), self.capacity, 0.0
        )

    def settle(self) -> None:
        """Decide until there is nothing left to decide; the engine's own loop."""
        for _ in range(ROUNDS):
            effects = decide(self.state())
            if not effects:
                return
            for effect in effects:
                self.apply(effect)
            self.hold()
        raise AssertionError(f"decisions do not come to rest: {effects}")

    def apply(self, effect: Effect) -> None:  # noqa: C901 one case for each effect
        match effect:
            case AcquireRun(run):
                self.runs[run] = replace(self.runs[run], status="queued", reason=None)
            case WaitRun(run, why):
                self.runs[run] = replace(self.runs[run], reason=why)
            case CancelRun(run, why):
                self.runs[run] = replace(self.runs[run], cancel_requested=1.0, reason=why)
            case FinishRun(run, conclusion):
                self.runs[run] = replace(self.runs[run], status="completed", conclusion=conclusion)
            case ExpandJob():
                self.expand(effect)
            case CallJob(job, below):
                self.call(job, below)
            case WaitJob(job, why):
                self.change(job, reason=why)
            case AcquireJob(job):
                self.acquire(job)
            case StartJob(job):
                self.start(job)
            case CancelJob(job, why):
                assert self.jobs[job].begun
                self.change(job, cancel_requested=1.0, reason=why)
            case FinishJob(job, conclusion, why):
                self.finish(job, conclusion, why)

    def change(self, job: str, **changes: Any) -> None:
        self.jobs[job] = replace(self.jobs[job], **changes)

    def expand(self, effect: ExpandJob) -> None:
        old = self.jobs.pop(effect.job)
        assert not old.expanded
        for leg in effect.legs:
            group = leg.concurrency
            changes = {
                "job": leg.job,
                "leg": leg.index,
                "expanded": True,
                "place": old.place,
                "calls": leg.uses,
                "tolerated": leg.continue_on_error,
                "limits": limits(leg),
                "status": "pending" if group else "queued",
                "concurrency_group": group.group if group else None,
                "cancel_in_progress": bool(group and group.cancel_in_progress),
            }
            job = a_job(old.run, leg.key, old.position, **changes)
            self.jobs[job.id] = job

    def acquire(self, job: str) -> None:
        if (group := next_group(self.jobs[job])) is None:
            self.change(job, status="queued", reason=None)
            return
        cancel = bool(group["cancel_in_progress"])
        name = group["concurrency_group"]
        self.change(job, concurrency_group=name, cancel_in_progress=cancel, reason=None)

    def call(self, job: str, below: tuple[Placeholder, ...]) -> None:
        caller = self.jobs[job]
        assert caller.calls
        assert caller.status == "queued"
        self.change(job, status="in_progress", started_at=0.0)
        for item in below:
            place = f"{caller.place}{caller.leg}.{item.position}."
            made = a_job(caller.run, item.key, caller.position, place=place)
            assert made.id not in self.jobs
            self.jobs[made.id] = made

    def start(self, job: str) -> None:
        found = self.jobs[job]
        assert job not in self.started, f"{job} starts twice"
        assert found.status == "queued"
        assert found.conclusion is None
        self.started.append(job)
        above, dot, own = found.job.rpartition(".")
        plan = self.plans[found.run].within(found.job)
        assert plan is not None
        for need in plan.workflow.jobs[own].needs:
            needed = [other for other in self.of(found.run) if other.job == above + dot + need]
            assert needed
            assert all(other.status == "completed" for other in needed)
        assert not above or self.jobs[f"{found.run}.{above}.1"].status == "in_progress"
        self.change(job, assigned_at=1.0)
        self.runs[found.run] = replace(self.runs[found.run], status="in_progress")

    def finish(self, job: str, conclusion: str, why: Any) -> None:
        assert self.jobs[job].status != "completed", f"{job} ends twice"
        self.change(job, status="completed", conclusion=conclusion, reason=why)

    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.assigned_at and job.status != "completed"]

    def hold(self) -> None:
        """What holds at every moment."""
        assert len(self.running()) <= self.capacity
        holders: dict[str, list[str]] = {}
        for run in self.runs.values():
            if run.concurrency_group and run.status in {"queued", "in_progress"}:
                holders.setdefault(run.concurrency_group, []).append(f"run {run.id}")
        for job in self.jobs.values():
            if job.concurrency_group and job.status in {"queued", "in_progress"}:
                holders.setdefault(job.concurrency_group, []).append(job.id)
            if job.concurrency_group and job.status != "completed":
                for name in held(job):
                    holders.setdefault(name, []).append(job.id)
        assert all(len(found) == 1 for found in holders.values()), holders

    def at_rest(self) -> None:
        """What holds once everything is decided: whatever waits has a reason."""
        for job in self.jobs.values():
            if job.status != "completed" and not job.begun:
                run = self.runs[job.run]
                assert job.reason or (run.status == "pending" and run.reason), f"{job.id} waits silently"
            if job.conclusion in {"skipped", "cancelled"}:
                assert job.reason, f"{job.id} ended silently"
        assert self.running() or all(run.status == "completed" for run in self.runs.values())


CONDITIONS = [None, "always()", "failure()", "success()", "cancelled()", "!cancelled()"]
GROUPS = st.none() | st.fixed_dictionaries(
    {"group": st.sampled_from(["a", "b"]), "cancel-in-progress": st.booleans()}
)


@st.composite
def a_definition(draw: st.DrawFn, before: list[str], callable_: tuple[str, ...]) -> dict[str, Any]:
    """Return a job that may need those before it and call these files."""
    job: dict[str, Any] = {}
    if before and (needs := draw(st.lists(st.sampled_from(before), unique=True, max_size=2))):
        job["needs"] = needs
    if condition := draw(st.sampled_from(CONDITIONS)):
        job["if"] = condition
    if legs := draw(st.integers(0, 3)):
        job["strategy"] = {"matrix": {"n": list(range(legs))}, "fail-fast": draw(st.booleans())}
        if draw(st.booleans()):
            job["strategy"]["max-parallel"] = draw(st.integers(1, 2))
    if draw(st.integers(0, 2)) == 0 and (group := draw(GROUPS)):
        job["concurrency"] = group
    if callable_ and draw(st.integers(0, 2)) == 0:
        return {**job, "uses": f"./.github/workflows/{draw(st.sampled_from(callable_))}.yml"}
    if draw(st.integers(0, 3)) == 0:
        job["continue-on-error"] = True
    return {**job, "runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}


@st.composite
def workflows(draw: st.DrawFn, callable_: tuple[str, ...] = ("one", "two")) -> dict[str, Any]:
    """Return a workflow, with the `files` that it may call: `one`, which may call `two`."""
    jobs: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 4 if len(callable_) == 2 else 2))):
        jobs[f"j{index}"] = draw(a_definition(sorted(jobs), callable_))
    made: dict[str, Any] = {"on": "push" if len(callable_) == 2 else "workflow_call", "jobs": jobs}
    if len(callable_) == 2:
        made["files"] = {"one": draw(workflows(("two",))), "two": draw(workflows(()))}
    if group := draw(GROUPS):
        made["concurrency"] = group
    return made


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_job_ends_nothing_starts_twice_and_needs_are_respected(data: st.DataObject) -> None:
    world = World(data.draw(st.integers(1, 3)))
    definitions = data.draw(st.lists(workflows(), min_size=1, max_size=3))
    world.add(definitions.pop())
    for _ in range(200):
        world.settle()
        world.at_rest()
        running = world.running()
        options = ["add"] * bool(definitions) + ["finish"] * 3 * bool(running)
        options += ["cancel"] * any(
            run.cancel_requested is None and run.status != "completed" for run in world.runs.values()
        )
        if not running and not definitions:
            break
        choice = data.draw(st.sampled_from(options))
        if choice == "add":
            world.add(definitions.pop())
        elif choice == "finish":
            happen(world, data, running)
        else:
            open_ = [run.id for run in world.runs.values() if run.status != "completed"]
            world.apply(CancelRun(data.draw(st.sampled_from(open_)), cancelled("anna")))
    assert not definitions
    assert all(run.status == "completed" and run.conclusion for run in world.runs.values())
    assert all(job.status == "completed" and job.conclusion for job in world.jobs.values())


def happen(world: World, data: st.DataObject, running: list[Job]) -> None:
    """Let a process start or end."""
    job = world.jobs[data.draw(st.sampled_from([job.id for job in running]))]
    if job.status == "queued" and data.draw(st.booleans()):
        world.change(job.id, status="in_progress", started_at=0.0)
        return
    ends = ["success", "failure", "timed_out"] if job.cancel_requested is None else ["cancelled", "success"]
    world.finish(job.id, data.draw(st.sampled_from(ends)), cancelled("the process"))


def matrix(**strategy: Any) -> dict[str, Any]:
    job = {"runs-on": "x", "strategy": {"matrix": {"n": [1, 2, 3]}, **strategy}, "steps": [{"run": "true"}]}
    return {"on": "push", "jobs": {"j": job}}


def test_slots_are_shared_fairly_between_repositories() -> None:
    """One repository's 200 jobs do not keep another one waiting for all of them."""
    world = World(2)
    big = matrix()
    big["jobs"]["j"]["strategy"]["matrix"]["n"] = list(range(200))
    world.add(big)
    world.settle()
    assert [job.id for job in world.running()] == ["1.j~1.1", "1.j~2.1"]
    world.add(matrix())
    world.runs[2] = replace(world.runs[2], repository="acme/other")
    world.settle()
    world.finish("1.j~1.1", "success", None)
    world.settle()
    assert [job.id for job in world.running()] == ["1.j~2.1", "2.j~1.1"]
    world.finish("2.j~1.1", "success", None)
    world.finish("1.j~2.1", "success", None)
    world.settle()
    assert sorted(job.id for job in world.running()) == ["1.j~3.1", "2.j~2.1"]


def test_within_a_repository_who_was_ready_first_goes_first() -> None:
    world = World(1)
    world.add(matrix())
    world.settle()
    world.add(matrix())
    order = []
    while running := world.running():
        order += [job.id for job in running]
        world.finish(running[0].id, "success", None)
        world.settle()
    assert order == [f"{run}.j~{leg}.1" for run in (1, 2) for leg in (1, 2, 3)]


def test_a_job_that_asks_for_its_own_runs_group_fails_instead_of_waiting_for_ever() -> None:
    world = World(1)
    definition = matrix()
    definition["concurrency"] = {"group": "g", "cancel-in-progress": False}
    definition["jobs"]["j"]["concurrency"] = {"group": "G", "cancel-in-progress": False}
    world.add(definition)
    world.settle()
    assert world.runs[1].conclusion == "failure"
    assert {job.reason.code for job in world.jobs.values() if job.reason} == {"deadlock"}


def test_a_job_over_the_servers_limit_is_told_to_stop() -> None:
    world = World(1)
    world.add({"on": "push", "jobs": {"j": {"runs-on": "x", "steps": [{"run": "true"}]}}})
    world.settle()
    world.change("1.j.1", status="in_progress", started_at=0.0)
    assert decide(replace(world.state(), now=100.0)) == []
    (effect,) = decide(replace(world.state(), now=1e6))
    assert isinstance(effect, CancelJob)
    assert effect.reason.code == "time-limit"


def test_groups_are_of_their_repository() -> None:
    world = World(4)
    for repository in ("acme/a", "acme/b", "acme/b"):
        definition = matrix()
        definition["concurrency"] = {"group": "deploy", "cancel-in-progress": False}
        world.add(definition)
        number = len(world.runs)
        world.runs[number] = replace(world.runs[number], repository=repository)
    world.hold = lambda: None  # type: ignore[method-assign]
    world.settle()
    assert [run.status for run in world.runs.values()] == ["in_progress", "in_progress", "pending"]


def test_runs_that_wait_for_each_others_groups_are_untied() -> None:
    world = World(4)
    for own, other in (("a", "b"), ("b", "a")):
        definition = matrix()
        definition["concurrency"] = {"group": own, "cancel-in-progress": False}
        first = definition["jobs"]["j"]
        definition["jobs"]["first"] = {"runs-on": "x", "steps": first["steps"]}
        del first["strategy"]
        first |= {"needs": "first", "concurrency": {"group": other, "cancel-in-progress": False}}
        world.add(definition)
    world.settle()
    for job in world.running():
        world.finish(job.id, "success", None)
    world.settle()
    assert [job.id for job in world.running()] == ["1.j.1"]
    why = world.jobs["2.j.1"].reason
    assert why is not None
    assert why.code == "deadlock"
    assert world.runs[2].conclusion == "failure"


@pytest.mark.parametrize(
    ("queue", "ended"), [("single", ["success", "cancelled", "success"]), ("max", ["success"] * 3)]
)
def test_a_group_keeps_the_newest_waiter_or_all_of_them(queue: str, ended: list[str]) -> None:
    world = World(4)
    for number in (1, 2, 3):
        world.add({"on": "push", "concurrency": {"group": "g", "cancel-in-progress": False},
                   "jobs": {"j": {"runs-on": "x", "steps": [{"run": "true"}]}}})  # fmt: skip
        world.runs[number] = replace(world.runs[number], concurrency_queue=queue)
        world.settle()
    order = []
    while running := world.running():
        assert len(running) == 1
        order.append(running[0].run)
        world.finish(running[0].id, "success", None)
        world.settle()
    assert [run.conclusion for run in world.runs.values()] == ended
    assert order == sorted(order)


def test_who_does_not_stop_is_told_again_and_killed_at_last() -> None:
    assert [signals_due(waited, 300) for waited in (0, 299, 300, 314, 315, 9999)] == [1, 1, 2, 2, 3, 3]


def test_what_ended_badly_runs_again_and_a_job_is_found_by_any_of_its_names() -> None:
    ends = {"success": False, "skipped": False, "failure": True, "cancelled": True, "timed_out": True}
    assert {end: failed(a_job(1, "j", 0, conclusion=end)) for end in ends} == ends
    job = a_job(1, "deploy~2.build", 0, job="deploy~2.build", name="deploy (us) / Build it")
    for name in ("deploy~2.build", "deploy~2 / build", "deploy (us) / Build it"):
        assert named(name)(job)
    assert not named("build")(job)
