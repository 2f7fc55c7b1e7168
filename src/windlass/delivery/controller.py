"""The Application controller: which delivery is to be driven, what stands with none in flight, and the status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from windlass.delivery import marks, rollout, status, sync
from windlass.delivery.case import Case, Memory
from windlass.delivery.errors import SourceError
from windlass.delivery.mirror import APPLICATION
from windlass.delivery.records import FAILED, HELD, LIVE, ROLLED_BACK, SUPERSEDED, WAITING
from windlass.delivery.render import source_of
from windlass.kube import ConflictError, KubeError, NotFoundError
from windlass.manifests import annotations_of, dig
from windlass.repos import ReposError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.delivery.book import Book
    from windlass.delivery.driver import Driver
    from windlass.delivery.mirror import Mirror
    from windlass.delivery.records import Delivery
    from windlass.delivery.render import Target
    from windlass.delivery.settings import Settings
    from windlass.delivery.sync import Syncer
    from windlass.delivery.targets import Targets
    from windlass.kube import Kube
    from windlass.manifests import Object
    from windlass.repos import Git, Repositories
    from windlass.store import Store

log = structlog.get_logger()
RESOURCE = "argoproj.io/v1alpha1/Application"
SHORT = 12


class ApplicationController:
    """Reconciles one Application at a time by key; everything it needs to know is in the cluster and in SQL."""

    def __init__(
        self,
        *,
        store: Store,
        kube: Kube,
        mirror: Mirror,
        book: Book,
        targets: Targets,
        driver: Driver,
        syncer: Syncer,
        repositories: Repositories,
        git: Git,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._kube = kube
        self._mirror = mirror
        self._book = book
        self._targets = targets
        self._driver = driver
        self._syncer = syncer
        self._repositories = repositories
        self._git = git
        self._settings = settings
        self._clock = clock
        self._memories: dict[str, Memory] = {}
        self._heads: dict[tuple[str, str], str] = {}

    def forget_heads(self, repo: str | None = None, tips: Mapping[str, str] | None = None) -> None:
        """Ask git again where branches stand: of one repository, or of all. `tips` are known already."""
        self._heads = {key: sha for key, sha in self._heads.items() if repo is not None and key[0] != repo}
        if repo is not None:
            self._heads |= {(repo, branch): sha for branch, sha in (tips or {}).items()}

    async def reconcile(self, key: str) -> float | None:
        """Look at one Application; returns in how many seconds it wants to be looked at again."""
        namespace, _, name = key.partition("/")
        app = self._mirror.get(APPLICATION, namespace, name)
        if app is None:
            self._memories.pop(key, None)
            return None
        memory = self._memories.setdefault(app["metadata"]["uid"], Memory())
        case = Case(key, app, memory, self._settings.namespace)
        if app["metadata"].get("deletionTimestamp"):
            return await self._delete(case)
        await self._watch_what_was(case)
        await self._locate(case)
        hard = await self._refreshed(case)
        current = await self._select(case, hard=hard)
        if current is not None:
            current = await self._drive(case, current)
        if current is None or current.final:
            if current is not None:
                case.look_again(0.0)  # what comes after it
            await self._steady(case)
        await self._write_status(case)
        return case.again

    async def _drive(self, case: Case, delivery: Delivery) -> Delivery:
        """Drive a delivery; what is in the way is written down before it is tried again."""
        try:
            return await self._driver.drive(case, delivery)
        except (KubeError, ReposError) as error:
            if not isinstance(error, ConflictError):
                await self._book.explain(delivery, f"cannot go on at the moment: {error}")
            raise

    # -- the source

    async def _locate(self, case: Case) -> None:
        try:
            case.source = source = source_of(case.app, self._settings)
            case.branch = source.revision
            if source.revision == "HEAD":
                case.branch = (await self._repositories.get(source.repo)).default_branch
            known = self._heads.get((source.repo, case.branch))
            case.head = known or await self._git.resolve(source.repo, case.branch)
            if case.head is not None:
                self._heads[source.repo, case.branch] = case.head
            else:
                reason = f"{source.repo} has no branch, tag or commit {case.branch!r}"
                case.conditions.append(("ComparisonError", reason))
        except (SourceError, ReposError) as error:
            case.conditions.append(("ComparisonError", str(error)))

    async def _watch_what_was(self, case: Case) -> None:
        """Watch the kinds that the Application had, so that they can be pruned though no longer wanted."""
        for entry in dig(case.app, "status", "resources") or []:
            group, version = entry.get("group", ""), entry.get("version", "v1")
            try:
                await self._mirror.want(f"{group}/{version}" if group else version, entry.get("kind", ""))
            except NotFoundError:
                continue

    async def _refreshed(self, case: Case) -> bool:
        """Take the refresh annotation off; returns whether it was a hard one."""
        value = annotations_of(case.app).get(marks.REFRESH)
        if value is None:
            return False
        if case.source is not None:
            self.forget_heads(case.source.repo)
            await self._locate(case)
        patch = {"metadata": {"annotations": {marks.REFRESH: None}}}
        self._mirror.wrote(await self._kube.patch(RESOURCE, case.name, case.namespace, patch))
        return value == "hard"

    # -- which delivery

    async def _select(self, case: Case, *, hard: bool) -> Delivery | None:
        """Return the delivery to drive: the one in flight, or the tip's; older ones that wait are superseded."""
        open_ = await self._book.open(case.uid)
        asked = await self._requested(case, open_)
        wanted = asked or case.head
        if wanted is None or case.source is None:
            return open_[0] if open_ else None
        open_ = await self._book.open(case.uid) if asked else open_
        newest = open_[-1] if open_ else None
        fits = newest is not None and newest.revision == wanted and newest.source == case.source.text
        if not (fits or await self._settled(case, wanted, hard=hard)):
            open_.append(await self._open(case, wanted, "automated"))
        return await self._supersede(open_)

    async def _requested(self, case: Case, open_: list[Delivery]) -> str | None:
        """Open the delivery of a sync that somebody asked for (`operation`), and return its revision.

        The delivery is opened before the request is taken off: a crash between the two finds it open, by the
        same person, and opens no other.
        """
        operation = dig(case.app, "operation", "sync")
        if not isinstance(operation, dict) or case.source is None:
            return None
        by = str(dig(case.app, "operation", "initiatedBy", "username") or "operation")
        revision = str(operation.get("revision") or "") or case.head
        sha = await self._git.resolve(case.source.repo, revision) if revision else None
        newest = open_[-1] if open_ and open_[-1].revision == sha else None
        if sha is None:
            case.conditions.append(("SyncError", f"there is no revision {revision!r} to sync to"))
        elif newest is None:
            await self._open(case, sha, by)
        elif newest.state == WAITING and newest.initiated_by != by:
            await self._book.ask(newest, by)
        self._mirror.wrote(await self._kube.patch(RESOURCE, case.name, case.namespace, {"operation": None}))
        return sha

    async def _settled(self, case: Case, revision: str, *, hard: bool) -> bool:
        """Whether the latest attempt of a revision has ended, and there is no reason for another."""
        latest = await self._book.latest_of(case.uid, revision)
        if latest is None:
            return False
        if case.source is not None and latest.source != case.source.text:
            live = await self._book.last_live(case.uid)
            return live is not None and live.revision == revision and live.source == case.source.text
        if latest.state in (HELD, ROLLED_BACK, FAILED) and latest.ended_at is not None:
            return not hard and not await self._book.released_since(case.uid, latest.ended_at)
        if latest.state == LIVE:
            live = await self._book.last_live(case.uid)
            return live is not None and live.id == latest.id
        if (
            latest.state == SUPERSEDED
        ):  # by a newer commit, and now the branch is back; a late job's commit is done
            by = latest.superseded_by or ""
            return await self._book.latest_of(case.uid, by) is None
        return True

    async def _open(self, case: Case, revision: str, by: str) -> Delivery:
        source = case.source
        if source is None:
            raise SourceError("the Application has no source")
        again = await self._book.latest_of(case.uid, revision)
        push = await self._store.one(
            "delivery.push_of", repo=source.repo, ref=f"refs/heads/{case.branch}", sha=revision
        )
        return await self._book.create(
            application=case.key,
            uid=case.uid,
            repo=source.repo,
            branch=case.branch,
            revision=revision,
            source=source.text,
            initiated_by=by,
            reason="recorded",
            committed_at=push["at"] if push and not again else self._clock(),
        )

    async def _supersede(self, open_: list[Delivery]) -> Delivery | None:
        """Let the newest go on; what is past its cut-over or being taken back finishes first."""
        if not open_:
            return None
        newest = open_[-1]
        driven: Delivery | None = None
        for delivery in open_[:-1]:
            busy = delivery.detected_at is not None or delivery.verified_candidate_at is not None
            if busy and driven is None:
                driven = delivery
            elif not busy:
                reason = f"superseded by {newest.revision[:SHORT]}, which is newer"
                await self._book.move(delivery, SUPERSEDED, reason, superseded_by=newest.revision)
        if driven is None:
            return newest
        doing = "taken back" if driven.detected_at is not None else "verified with traffic"
        await self._book.explain(
            newest, f"waits until delivery {driven.id} ({driven.revision[:SHORT]}) is {doing}"
        )
        return driven

    # -- with nothing in flight

    async def _steady(self, case: Case) -> None:
        """Keep what is live as it was applied, and its pods open to traffic."""
        live = await self._book.last_live(case.uid)
        if live is None:
            return
        target = await self._targets.of_or_none(case, live)
        if target is None:
            case.conditions.append(
                ("ComparisonError", f"{live.revision[:SHORT]}, which is live, cannot be rendered again")
            )
            return
        await self._mirror.want_all(list(target.objects))
        latest = await self._latest(case)
        undone = latest is not None and latest.state in (FAILED, SUPERSEDED) and await self._begun(latest)
        if case.self_heal or undone:
            results = await self._driver.synchronise(case, target, (), prune=case.prune)
            if failed := [result for result in results if result.status == "SyncFailed"]:
                case.conditions.append(("SyncError", failed[0].message))
                case.look_again(self._settings.retry)
        seen = self._driver.observe(case, target, None, ())
        for effect in rollout.steady(seen.workloads):
            await self._driver.perform(case, live, target, seen, effect)

    async def _latest(self, case: Case) -> Delivery | None:
        from windlass.delivery.records import Delivery

        row = await self._store.one("delivery.latest", application=case.key)
        return Delivery.of(row) if row else None

    async def _begun(self, delivery: Delivery) -> bool:
        return await self._book.deployment(delivery.id) is not None

    # -- deletion

    async def _delete(self, case: Case) -> float | None:
        for delivery in await self._book.open(case.uid):
            await self._book.move(
                delivery, SUPERSEDED, "the Application was deleted", superseded_by="deletion"
            )
        finalizers = case.app["metadata"].get("finalizers") or []
        if marks.FINALIZER not in finalizers:
            return None
        await self._watch_what_was(case)
        tracked = self._driver.tracked(case)
        if tracked:
            await self._syncer.execute(sync.Plan((), tuple(sync.strays((), tracked))))
            return 1.0
        rest = [each for each in finalizers if each != marks.FINALIZER]
        patch = {"metadata": {"finalizers": rest, "resourceVersion": case.app["metadata"]["resourceVersion"]}}
        await self._kube.patch(RESOURCE, case.name, case.namespace, patch)
        return None

    # -- status

    async def _write_status(self, case: Case) -> None:
        before = case.app.get("status") or {}
        latest = await self._latest(case)
        new = await self._status(case, before, latest)
        patch = status.merge(before, new, self._clock())
        if patch is None:
            return
        try:
            self._mirror.wrote(await self._kube.patch(RESOURCE, case.name, case.namespace, {"status": patch}))
        except (NotFoundError, ConflictError) as error:
            log.debug("delivery.status_not_written", application=case.key, error=str(error))

    async def _status(self, case: Case, before: Object, latest: Delivery | None) -> Object:
        found: Object = {"health": {"status": "Unknown"}, "sync": {"status": "Unknown"}}
        target = await self._shown(case, latest)
        compared = {
            "source": dig(case.app, "spec", "source") or {},
            "destination": dig(case.app, "spec", "destination") or {},
        }
        found["sync"] = {"status": "Unknown", "revision": case.head or "", "comparedTo": compared}
        if (
            latest is not None
            and latest.state in (HELD, ROLLED_BACK, FAILED)
            and latest.revision == case.head
        ):
            case.conditions.append(("SyncError", f"delivery {latest.id} is {latest.state}: {latest.reason}"))
        if target is None:
            found["health"] = await self._health_unrendered(case, latest)
        else:
            states = sync.out_of_sync(target, self._mirror.same)
            holds = await self._book.holds(case.uid)
            beyond = self._driver.beyond(case, target)
            entries = status.resources(target, self._mirror.same, states, holds, beyond)
            extra = [status.stray(item) for item in sync.strays(target.objects, self._driver.tracked(case))]
            clean = not extra and all(value == "Synced" for value in states.values())
            found["sync"]["status"] = "Synced" if clean else "OutOfSync"
            found["health"] = status.overall(entries)
            found["resources"] = [*entries, *extra]
            found["summary"] = {"images": status.images(target)}
            if urls := status.addresses(target, self._mirror.same):
                found["summary"]["externalURLs"] = urls
            found["sourceType"] = (
                "Kustomize" if any("kustomization" in f.lower() for f in target.files) else "Directory"
            )
        if case.source is not None:
            found["history"] = status.history(await self._book.lived(case.uid), case.source)
            if latest is not None:
                found["operationState"] = status.operation_state(
                    latest, case.source, case.memory.results, prune=case.prune, before=before
                )
        found["conditions"] = status.conditions(_unique(case.conditions), before, self._clock())
        return found

    async def _health_unrendered(self, case: Case, latest: Delivery | None) -> Object:
        """Return the health while the tip cannot be rendered: of what is live, and of what is waited for."""
        waits = latest is not None and latest.state == WAITING
        entries = (
            [{"health": {"status": "Progressing", "message": latest.reason}}] if latest and waits else []
        )
        live = await self._book.last_live(case.uid)
        target = await self._targets.of_or_none(case, live) if live is not None else None
        if target is not None:
            beyond = self._driver.beyond(case, target)
            entries += status.resources(target, self._mirror.same, {}, (), beyond)
        return status.overall(entries) if entries else {"status": "Unknown"}

    async def _shown(self, case: Case, latest: Delivery | None) -> Target | None:
        """Return the target of the tip: what the live state is compared with."""
        if latest is None or case.head is None:
            return None
        if latest.revision != case.head:
            latest = await self._book.latest_of(case.uid, case.head)
        if latest is None:
            return None
        return await self._targets.of_or_none(case, latest)


def _unique(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(found))


def worth_a_look(before: Object | None, after: Object | None) -> bool:
    """Whether a change of an Application is more than our own writing of its status."""
    if before is None or after is None:
        return True

    def rest(app: Object) -> dict[str, Any]:
        meta = {
            k: v
            for k, v in app["metadata"].items()
            if k not in ("resourceVersion", "managedFields", "generation")
        }
        return {"spec": app.get("spec"), "operation": app.get("operation"), "metadata": meta}

    return rest(before) != rest(after)
