"""Starts a job's process: its directory, its specification, its token and secrets, its pid."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import structlog

from windlass.pipelines.apply import finish_job, subject
from windlass.pipelines.context import withheld
from windlass.pipelines.errors import LaunchError
from windlass.pipelines.gates import Environment
from windlass.pipelines.ingest import EVENTS
from windlass.pipelines.permissions import principal, read_only, scopes
from windlass.pipelines.reason import not_launched
from windlass.workflow.jobs import JobSecrets, JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from windlass.identity import Identity, Secrets
    from windlass.pipelines.launcher import Launcher
    from windlass.pipelines.process import Processes
    from windlass.pipelines.records import Job
    from windlass.pipelines.runplan import RunPlan
    from windlass.pipelines.settings import Settings
    from windlass.store import Store, Transaction
    from windlass.workflow import PlannedJob

SPEC = "spec.json"
MAX_LAUNCHES = 3
TIMEOUT = 30.0

log = structlog.get_logger()


def specification(
    job: Job, planned: PlannedJob, plan: RunPlan, settings: Settings, environment: Environment | None = None
) -> JobSpec:
    """Return what the job's process is told. Holds no secret."""
    github = {**plan.contexts["github"], **planned.contexts.get("github", {})}
    directory = settings.jobs / job.id
    place = plan.places.get(plan.file, ("", ""))
    variables = {**plan.contexts["vars"], **(environment.variables if environment else {})}
    return JobSpec(
        id=job.id,
        run=job.run,
        attempt=job.attempt,
        key=planned.key,
        name=job.name,
        repository=github["repository"],
        definition=planned.definition,
        env=planned.env,
        contexts={**planned.contexts, "vars": variables, "github": github},
        server_url=settings.server_url,
        mirrors=settings.mirrors,
        directory=str(directory),
        tools=str(settings.caches),
        socket=str(settings.socket),
        isolation=settings.isolation,
        engine=settings.engine,
        workflow_file=plan.file,
        ref=github["ref"],
        sha=github["sha"],
        permissions=dict(planned.permissions),
        actions_mirror=settings.actions_mirror,
        pins=plan.pins,
        workflow_repository=place[0],
        workflow_sha=place[1],
    )


def prepare(directory: Path, spec: str) -> None:
    """Make the job's directory. What an earlier launch left there never ran: it has no events."""
    if (directory / EVENTS).exists():
        raise LaunchError(f"{directory.name} has run already")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / SPEC).write_text(spec, encoding="utf-8")


class Starter:
    """Launches jobs. A pid is recorded before its process gets its input: unrecorded, it cannot run."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        secrets: Secrets,
        launcher: Launcher,
        processes: Processes,
        settings: Settings,
    ) -> None:
        self._store = store
        self._identity = identity
        self._secrets = secrets
        self._launcher = launcher
        self._processes = processes
        self._settings = settings

    async def start(self, job: Job, planned: PlannedJob, plan: RunPlan) -> bool:
        """Launch the job. What goes wrong is counted; after `MAX_LAUNCHES` it fails the job: False."""
        try:
            with anyio.fail_after(TIMEOUT):
                await self._start(job, planned, plan)
        except Exception as error:  # noqa: BLE001 whatever it is, the job must not stay without a reason
            log.warning("launch failed", job=job.id, error=repr(error))
            counted = await self._store.transact(lambda tx: tx.run("jobs.launch_failed", id=job.id))
            if not counted:
                return True  # it is over meanwhile
            launches = int(counted[0]["launches"])
            if launches >= MAX_LAUNCHES:
                await self.give_up(job, str(error) or repr(error))
                return False
            await anyio.sleep(0.2 * 4 ** (launches - 1))
        return True

    async def give_up(self, job: Job, evidence: str) -> None:
        """Fail a job that could not be launched."""

        def work(tx: Transaction) -> None:
            finish_job(tx, job.id, "failure", not_launched(evidence), at=time.time())

        await self._store.transact(work)

    async def _start(self, job: Job, planned: PlannedJob, plan: RunPlan) -> None:
        environment = await self._environment(job, plan)
        spec = specification(job, planned, plan, self._settings, environment)
        directory = self._settings.jobs / job.id
        await anyio.to_thread.run_sync(prepare, directory, spec.to_json())
        reading, writing = os.pipe()
        try:
            try:
                pid = await self._launcher.launch(directory, reading)
            finally:
                os.close(reading)
            # From here on the process makes its sandbox; what it is to know it needs only after that.
            token, minted = self._token(job, planned, spec)
            secrets = JobSecrets(token, await self._reveal(spec, plan, environment, token))
            if await self._record(job, pid, minted):
                await _write(writing, secrets.to_json().encode())
        finally:
            os.close(writing)

    def _token(
        self, job: Job, planned: PlannedJob, spec: JobSpec
    ) -> tuple[str, Callable[[Transaction], None]]:
        shared = (f"repo:read:{pattern}" for pattern in self._settings.shared_actions)
        permissions = read_only(planned.permissions) if _withheld(spec) else planned.permissions
        granted = (*scopes(permissions, spec.repository), *shared)
        return self._identity.minting(
            "job", principal(job.id), granted, ttl=self._settings.token_ttl, label=f"job {job.id}"
        )

    async def _reveal(
        self, spec: JobSpec, plan: RunPlan, environment: Environment | None, token: str
    ) -> dict[str, str]:
        """Return the job's secrets: only its token where it runs the code of a fork."""
        if _withheld(spec):
            return plan.secrets({}, token)
        secrets = plan.secrets(await self._secrets.reveal(spec.repository), token)
        if environment is not None:
            secrets |= await self._secrets.of_environment(spec.repository, environment.key)
        return secrets

    async def _environment(self, job: Job, plan: RunPlan) -> Environment | None:
        """Return the environment that the job names, where the server keeps one of that name."""
        if not job.environment:
            return None
        where = {
            "repository": plan.contexts["github"]["repository"],
            "key": str(job.environment["name"]).lower(),
        }
        row = await self._store.one("environments.environment", **where)
        return Environment.of(row) if row else None

    async def _record(self, job: Job, pid: int, minted: Callable[[Transaction], None]) -> bool:
        """Record the process, and with it the token that it is about to be told."""
        started = self._processes.started(pid)
        row: dict[str, Any] = {"id": job.id, "pid": pid, "pid_started": -1 if started is None else started}

        def work(tx: Transaction) -> bool:
            if not tx.run("jobs.launched", **row):
                return False
            minted(tx)
            tx.record("job.launched", subject(job.run), job=job.id, pid=pid)
            return True

        return await self._store.transact(work)


def _withheld(spec: JobSpec) -> bool:
    github = spec.contexts["github"]
    return withheld(github["event_name"], github["event"])


async def _write(descriptor: int, data: bytes) -> None:
    os.set_blocking(descriptor, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await anyio.wait_writable(descriptor)
        except BrokenPipeError:
            return  # the process is gone; who watches it finds out
