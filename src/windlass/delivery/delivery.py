"""Deliveries, composed: what wakes the Application controller, and the tasks that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.delivery import marks
from windlass.delivery.adopt import Adopter
from windlass.delivery.book import Book
from windlass.delivery.controller import ApplicationController, worth_a_look
from windlass.delivery.driver import Driver
from windlass.delivery.errors import SourceError
from windlass.delivery.evidence import Collector
from windlass.delivery.gates import Gates
from windlass.delivery.mirror import APPLICATION, Mirror
from windlass.delivery.preparing import Preparer
from windlass.delivery.render import Renderer, source_of
from windlass.delivery.rollback import Reverter
from windlass.delivery.settings import Settings
from windlass.delivery.sync import Syncer
from windlass.delivery.targets import Targets
from windlass.delivery.trails import Trails
from windlass.delivery.undo import Undo
from windlass.delivery.verifications import Verifications
from windlass.delivery.verify import HTTPProber, Verifier
from windlass.kube import Controller, TimedOutError, UnavailableError
from windlass.manifests import annotations_of, dig, identify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from windlass.delivery.verify import Prober
    from windlass.kube import Kube
    from windlass.manifests import Object
    from windlass.repos import Git, GitWriter, Repositories
    from windlass.store import Entry, Store

log = structlog.get_logger()
KINDS = ("push", "hold.released", "registry.*", "image.*", "repository.*")


class Delivery:
    """Brings GitOps commits into the cluster and keeps them there. `run` until cancelled.

    Everything that it must know after a crash is in the cluster and in SQL: run another one over the same
    state, and it goes on. `resolve` gives an image's digest (`RegistryClient.resolve`).
    """

    def __init__(
        self,
        store: Store,
        kube: Kube,
        repositories: Repositories,
        git: Git,
        writer: GitWriter,
        *,
        resolve: Callable[[str], Awaitable[str]],
        settings: Settings | None = None,
        prober: Prober | None = None,
    ) -> None:
        self._store = store
        self._kube = kube
        self._repositories = repositories
        self._git = git
        self._settings = settings or Settings()
        self._prober = prober
        self._writer = writer
        self._renderer = Renderer(git, resolve)
        self._controller = Controller("applications", self._reconcile, workers=self._settings.workers)
        self._mirror = Mirror(kube, self._changed)
        self.book = Book(store)
        self.ready = anyio.Event()
        self._applications: ApplicationController | None = None

    async def run(self) -> None:
        """Reconcile Applications for ever."""
        own = HTTPProber() if self._prober is None else None
        prober = self._prober or own
        try:
            with self._store.subscribe(*KINDS) as feed:
                async with anyio.create_task_group() as tasks:
                    adopter = self._compose(tasks, prober)
                    await self._watch(tasks)
                    await adopter.everything()
                    self._everything()
                    tasks.start_soon(self._controller.run)
                    tasks.start_soon(self._resync, adopter)
                    self.ready.set()
                    while True:
                        for entry in await feed.wait():
                            await self._heard(entry, adopter)
        finally:
            if own is not None:
                await own.close()

    async def _watch(self, tasks: TaskGroup) -> None:
        """Begin to watch the cluster; one that is too busy to answer in time is asked again."""
        while True:
            try:
                return await self._mirror.start(tasks)
            except (TimedOutError, UnavailableError, TimeoutError) as error:
                log.warning("delivery.cluster_slow", error=str(error), again_in=self._settings.retry)
                await anyio.sleep(self._settings.retry)

    def _compose(self, tasks: TaskGroup, prober: Any) -> Adopter:
        settings = self._settings
        verifier = Verifier(self._kube, prober, settings.trace_secret, settings.address_grace)
        trails = Trails(verifier, tasks)
        syncer = Syncer(self._kube, self._mirror)
        targets = Targets(self.book, self._renderer)
        reverter = Reverter(self._git, self._writer, settings)
        undo = Undo(self.book, targets, reverter, lambda: self._mirror.items(APPLICATION))
        driver = Driver(
            book=self.book,
            mirror=self._mirror,
            targets=targets,
            preparer=Preparer(self._store, self.book, targets, undo, settings),
            undo=undo,
            syncer=syncer,
            gates=Gates(self._kube, self._mirror),
            verifications=Verifications(verifier, trails, self.book, tasks, self.wake),
            collector=Collector(self._kube, self._mirror, self.book, trails),
            settings=settings,
        )
        self._applications = ApplicationController(
            store=self._store,
            kube=self._kube,
            mirror=self._mirror,
            book=self.book,
            targets=targets,
            driver=driver,
            syncer=syncer,
            repositories=self._repositories,
            git=self._git,
            settings=settings,
        )
        return Adopter(
            self._store,
            self._kube,
            self._repositories,
            self._git,
            mirror=self._mirror,
            renderer=self._renderer,
            syncer=syncer,
            settings=settings,
        )

    async def _reconcile(self, key: tuple[str, str]) -> float | None:
        if self._applications is None:
            return None
        return await self._applications.reconcile("/".join(key))

    # -- what wakes it

    def wake(self, key: str) -> None:
        """Look at an Application (`NAMESPACE/NAME`) soon."""
        namespace, _, name = key.partition("/")
        self._controller.queue.add((namespace, name))

    def _everything(self) -> None:
        for app in self._mirror.items(APPLICATION):
            self.wake(f"{app['metadata']['namespace']}/{app['metadata']['name']}")

    async def _resync(self, adopter: Adopter) -> None:
        """Look at everything now and then, for what was missed."""
        while True:
            await anyio.sleep(self._settings.resync)
            if self._applications is not None:
                self._applications.forget_heads()
            await adopter.everything()
            self._everything()

    async def _heard(self, entry: Entry, adopter: Adopter) -> None:
        try:
            await self._answer(entry, adopter)
        except Exception:  # what was missed now is found by the resync
            log.exception("delivery.entry_failed", kind=entry.kind, subject=entry.subject)

    async def _answer(self, entry: Entry, adopter: Adopter) -> None:
        if entry.kind == "hold.released":
            self.wake(entry.subject.removeprefix("application/"))
        elif entry.kind == "push" and entry.subject.startswith("repo/"):
            repo = entry.subject.removeprefix("repo/")
            tips = _tips(entry)
            if self._applications is not None:
                self._applications.forget_heads(repo, tips)
            await adopter.look(repo, tips)
            self._wake_of(repo)
        else:
            for row in await self._store.read("delivery.all_open"):
                self.wake(row["application"])

    def _wake_of(self, repo: str) -> None:
        for app in self._mirror.items(APPLICATION):
            try:
                found = source_of(app, self._settings).repo
            except SourceError:
                continue
            if found == repo:
                self.wake(f"{app['metadata']['namespace']}/{app['metadata']['name']}")

    def _changed(self, before: Object | None, after: Object | None) -> None:
        for item in (before, after):
            if item is None:
                continue
            if identify(item).kind == "Application":
                if worth_a_look(before, after):
                    self.wake(f"{item['metadata']['namespace']}/{item['metadata']['name']}")
            elif (key := self._owner(item)) is not None:
                self.wake(key)

    def _owner(self, item: Object) -> str | None:
        """Return the Application that an object belongs to."""
        tracked = marks.tracked_by(item)
        if tracked is not None:
            space, underscore, name = tracked.partition("_")
            if underscore and self._mirror.get(APPLICATION, space, name):
                return f"{space}/{name}"
            return f"{self._settings.namespace}/{tracked}"
        notes = annotations_of(item)
        if item.get("kind") == "ReplicaSet":
            notes = dig(item, "spec", "template", "metadata", "annotations") or {}
        return notes.get(marks.APPLICATION)


def _tips(entry: Entry) -> dict[str, str]:
    """Return the branch that a push moved, and to where."""
    ref, after = str(entry.data.get("ref", "")), str(entry.data.get("after", ""))
    if not ref.startswith("refs/heads/") or not after.strip("0"):
        return {}
    return {ref.removeprefix("refs/heads/"): after}
