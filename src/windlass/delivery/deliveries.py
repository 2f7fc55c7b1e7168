"""What others may ask about deliveries: the query side, for the dashboard, the REST API and the command line."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.delivery.book import Book
from windlass.delivery.errors import (
    SourceError,
    UnknownApplicationError,
    UnknownDeliveryError,
    UnknownHoldError,
)
from windlass.delivery.news import follow, last_words, refusals
from windlass.delivery.records import ASK, Delivery, Deployment, Evidence, Hold
from windlass.delivery.render import source_of
from windlass.delivery.settings import Settings
from windlass.kube import NotFoundError
from windlass.manifests import dig

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Iterable

    from windlass.kube import Kube
    from windlass.manifests import Object
    from windlass.store import Store

SHOWN = 20
PARTS = (
    ("GitOps commit → applied", "committed_at", "applied_at"),
    ("applied → ready", "applied_at", "ready_at"),
    ("ready → verified as candidate", "ready_at", "verified_candidate_at"),
    ("verified → cut over", "verified_candidate_at", "cut_over_at"),
    ("cut over → verified live", "cut_over_at", "verified_live_at"),
    ("verified live → old pods ended", "verified_live_at", "finalised_at"),
    ("GitOps commit → live", "committed_at", "finalised_at"),
    ("applied → found bad", "applied_at", "detected_at"),
    ("found bad → traffic back", "detected_at", "traffic_back_at"),
    ("applied → old version alone serving", "applied_at", "traffic_back_at"),
    ("traffic back → previous version in place", "traffic_back_at", "restored_at"),
    ("applied → reverted in git", "applied_at", "reverted_at"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that published an image of a delivery."""

    id: int
    number: int
    repository: str
    workflow: str
    sha: str
    ref: str
    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of a delivery. `durations`: segment → seconds. `command` is what helps now, empty where nothing is wrong.

    `last_words` of one that was bad: its last bad answer, and the end of the candidate's log.
    """

    delivery: Delivery
    deployment: Deployment | None
    runs: tuple[Run, ...]
    evidence: tuple[Evidence, ...]
    holds: tuple[Hold, ...]
    durations: dict[str, float]
    command: str
    last_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApplicationView:
    """An Application with what is live and what came last. `delivery` is the latest, `live` the one that serves.

    `message` says why its health is not good.
    """

    name: str
    namespace: str
    repo: str
    path: str
    revision: str
    sync: str
    health: str
    message: str
    resources: tuple[Object, ...]
    conditions: tuple[str, ...]
    addresses: tuple[str, ...]
    images: tuple[str, ...]
    delivery: Delivery | None
    live: Delivery | None
    holds: tuple[Hold, ...]


def durations(delivery: Delivery) -> dict[str, float]:
    """Return the seconds of each part of the way that was gone."""
    found = {}
    for name, start, end in PARTS:
        begun, ended = getattr(delivery, start), getattr(delivery, end)
        if begun is not None and ended is not None:
            found[name] = round(ended - begun, 3)
    return found


def command(delivery: Delivery, holds: tuple[Hold, ...]) -> str:
    """Return the command that helps, or an empty string."""
    name = delivery.application.rpartition("/")[2]
    if delivery.state in ("rolled_back", "failed") and not delivery.revert_commit and delivery.previous:
        return f"git revert {delivery.revision[:12]}"
    if delivery.state == "held" and holds:
        return f"windlass holds release {name}"
    if delivery.state == "waiting" and delivery.reason == ASK:
        return f"windlass sync {name}"
    return ""


class Deliveries:
    """Queries, holds and news. Safe to share; holds no state. Applications are named `NAME` or `NAMESPACE/NAME`."""

    def __init__(self, store: Store, kube: Kube, settings: Settings | None = None) -> None:
        self._store = store
        self._kube = kube
        self._settings = settings or Settings()
        self._book = Book(store)

    def _key(self, application: str) -> str:
        return application if "/" in application else f"{self._settings.namespace}/{application}"

    async def list(self, application: str = "", *, before: int = 0, limit: int = 50) -> list[Delivery]:
        """Return deliveries, the newest first; `before` is an id to page on from."""
        key = self._key(application) if application else ""
        rows = await self._store.read("delivery.list", application=key, before=before, limit=min(limit, 500))
        return [Delivery.of(row) for row in rows]

    async def get(self, delivery: int) -> Report:
        """Return everything about a delivery; `UnknownDeliveryError`."""
        try:
            found = await self._book.get(delivery)
        except KeyError:
            raise UnknownDeliveryError(f"there is no delivery {delivery}") from None
        rows = await self._store.read("delivery.runs_of", delivery=delivery)
        holds = tuple(hold for hold in await self._book.holds(found.uid) if hold.delivery == delivery)
        active = holds or tuple(await self._book.holds(found.uid))
        evidence = tuple(await self._book.evidence(delivery))
        return Report(
            found,
            await self._book.deployment(delivery),
            tuple(Run(**row) for row in rows),
            evidence,
            holds,
            durations(found),
            command(found, active),
            last_words(evidence) if found.detected_at else (),
        )

    async def of_commit(self, repo: str, sha: str) -> builtins.list[Delivery]:
        """Return the deliveries of a GitOps commit, or those that contain what a source commit's runs published."""
        rows = await self._store.read("delivery.of_revision", repo=repo, revision=sha)
        rows += await self._store.read("delivery.of_source", repo=repo, sha=sha)
        return [Delivery.of(row) for row in {row["id"]: row for row in rows}.values()]

    async def of_digest(self, digest: str) -> builtins.list[Delivery]:
        """Return the deliveries that contain an image."""
        return [Delivery.of(row) for row in await self._store.read("delivery.of_digest", digest=digest)]

    async def holds(self) -> builtins.list[Hold]:
        """Return all active holds."""
        return [Hold.of(row) for row in await self._store.read("delivery.holds")]

    async def release_hold(self, application: str, template: str = "", *, by: str) -> builtins.list[Hold]:
        """Release an Application's holds (one, if its template is given).

        `UnknownHoldError` where there is none, `UnknownApplicationError` where there is no such Application either.

        The branch's tip is then tried again, if it was refused or taken back.
        """
        released = await self._book.release(self._key(application), template, by)
        if not released:
            held = sorted({hold.application.rpartition("/")[2] for hold in await self.holds()})
            await self._application(application)
            what = f"the template {template} of {application}" if template else f"nothing of {application}"
            said = f"{what} is not held" if template else f"{what} is held"
            raise UnknownHoldError(f"{said}; held are: {', '.join(held)}" if held else f"{said}; nothing is")
        return released

    async def sync(self, application: str, *, by: str, revision: str = "") -> None:
        """Ask for a sync of an Application to its branch's tip, or to a revision; `UnknownApplicationError`."""
        await self._application(application)
        namespace, _, name = self._key(application).partition("/")
        operation = {"initiatedBy": {"username": by}, "sync": {"revision": revision} if revision else {}}
        await self._kube.patch("argoproj.io/v1alpha1/Application", name, namespace, {"operation": operation})

    async def applications(self) -> builtins.list[ApplicationView]:
        """Return all Applications by name."""
        found = await self._kube.list("argoproj.io/v1alpha1/Application")
        latest = [Delivery.of(row) for row in await self._store.read("delivery.latest_of_each")]
        live = [Delivery.of(row) for row in await self._store.read("delivery.last_live_of_each")]
        holds: dict[str, builtins.list[Hold]] = {}
        for row in await self._store.read("delivery.holds"):
            holds.setdefault(row["uid"], []).append(Hold.of(row))
        views = [self._view(app, latest, live, holds.get(app["metadata"]["uid"], ())) for app in found.items]
        return sorted(views, key=lambda view: (view.namespace, view.name))

    async def application(self, name: str) -> ApplicationView:
        """Return one Application; `UnknownApplicationError`."""
        namespace, _, short = self._key(name).partition("/")
        app = await self._application(name)
        row = await self._store.one("delivery.latest", application=f"{namespace}/{short}")
        live, uid = await self._book.last_live(app["metadata"]["uid"]), app["metadata"]["uid"]
        latest = [Delivery.of(row)] if row else []
        return self._view(app, latest, [live] if live else [], await self._book.holds(uid))

    async def _application(self, name: str) -> Object:
        namespace, _, short = self._key(name).partition("/")
        try:
            return await self._kube.get("argoproj.io/v1alpha1/Application", short, namespace)
        except NotFoundError:
            found = await self._kube.list("argoproj.io/v1alpha1/Application")
        metas = [item["metadata"] for item in found.items]
        known = sorted(
            meta["name"]
            if meta["namespace"] == self._settings.namespace
            else f"{meta['namespace']}/{meta['name']}"
            for meta in metas
        )
        there = f"there are: {', '.join(known[:SHOWN])}" if known else "there are none yet"
        raise UnknownApplicationError(f"there is no Application {name}; {there}")

    def _view(
        self, app: Object, latest: Iterable[Delivery], live: Iterable[Delivery], holds: Iterable[Hold]
    ) -> ApplicationView:
        """Return a view of an Application with its holds, and with what is its own of these deliveries."""
        meta, state = app["metadata"], app.get("status") or {}
        key, uid = f"{meta['namespace']}/{meta['name']}", meta["uid"]
        try:
            repo = source_of(app, self._settings).repo
        except SourceError:
            repo = ""
        return ApplicationView(
            meta["name"],
            meta["namespace"],
            repo,
            str(dig(app, "spec", "source", "path") or ""),
            str(dig(state, "sync", "revision") or ""),
            str(dig(state, "sync", "status") or "Unknown"),
            str(dig(state, "health", "status") or "Unknown"),
            str(dig(state, "health", "message") or ""),
            tuple(state.get("resources") or ()),
            tuple(str(each.get("message", "")) for each in state.get("conditions") or ()),
            tuple(dig(state, "summary", "externalURLs") or ()),
            tuple(dig(state, "summary", "images") or ()),
            next((each for each in latest if each.application == key), None),
            next((each for each in live if each.uid == uid), None),
            tuple(holds),
        )

    async def refused(self) -> dict[str, builtins.list[str]]:
        """Return what keeps Applications of hosted repositories from being used, by repository."""
        found = {}
        for row in await self._store.read("repos.list"):
            if problems := await refusals(self._store, row["name"]):
                found[str(row["name"])] = problems
        return found

    async def expects(self, repo: str) -> bool:
        """Whether some Application is deployed from this repository, or should be according to its settings."""
        hosted = await self._store.one("repos.get", name=repo)
        if hosted and hosted["applications"] is not None:
            return True
        return await self._deployed_from(repo) > 0

    async def _deployed_from(self, repo: str) -> int:
        """Count the Applications that are deployed from a repository."""
        count = 0
        for app in (await self._kube.list("argoproj.io/v1alpha1/Application")).items:
            with suppress(SourceError):
                count += source_of(app, self._settings).repo == repo
        return count

    async def news(
        self, repo: str, sha: str, *, patience: float = 3.0, limit: float = 900.0, evidence: bool = True
    ) -> AsyncGenerator[str, None]:
        """Yield lines on the deliveries of a commit until all have ended.

        Waits `patience` seconds for a first one to begin, and follows for at most `limit` seconds. Without `evidence`
        nothing is told of what the containers said.
        """

        async def expected() -> int:
            return await self._deployed_from(repo)

        async def why(delivery: Delivery) -> tuple[str, ...]:
            if not delivery.detected_at:
                return ()
            said = last_words(await self._book.evidence(delivery.id)) if evidence else ()
            url = self._settings.server_url
            return (
                *said,
                f"{url}/deliveries/{delivery.id}" if url else f"windlass trace {delivery.revision[:12]}",
            )

        following = follow(
            self._store, self.of_commit, repo, sha, expected=expected, patience=patience, limit=limit, why=why
        )
        async for line in following:
            yield line
