"""Applications out of a hosted repository's `applications` folder become objects in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from windlass.delivery import marks
from windlass.delivery.decorate import fingerprint
from windlass.delivery.errors import SourceError
from windlass.kube import KubeError
from windlass.manifests import ManifestError, annotations_of, read
from windlass.repos import ReposError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from windlass.delivery.mirror import Mirror
    from windlass.delivery.render import Renderer
    from windlass.delivery.settings import Settings
    from windlass.delivery.sync import Syncer
    from windlass.kube import Kube
    from windlass.manifests import Object
    from windlass.repos import Git, Repositories
    from windlass.store import Store

log = structlog.get_logger()
MANAGER = "windlass-applications"
KINDS = frozenset({"Application", "AppProject"})
SUFFIXES = (".yaml", ".yml", ".json")


def adopted(documents: Iterable[tuple[str, bytes]], repo: str, namespace: str) -> list[Object]:
    """Return the Applications of a folder's files, marked with where they come from. Pure.

    Raises `ManifestError`; what is of another kind is left alone.
    """
    found = []
    for path, content in documents:
        for document in read(content, path):
            item = document.value
            if not isinstance(item, dict) or item.get("kind") not in KINDS:
                continue
            if not str(item.get("apiVersion", "")).startswith("argoproj.io/") or not (
                item.get("metadata") or {}
            ).get("name"):
                raise ManifestError(
                    f"{path}:{document.line}: an Application needs apiVersion argoproj.io/v1alpha1 and a name"
                )
            meta = dict(item["metadata"])
            meta.setdefault("namespace", namespace)
            meta["annotations"] = {**(meta.get("annotations") or {}), marks.ADOPTED: repo}
            found.append(
                {
                    **{key: value for key, value in item.items() if key not in ("status", "operation")},
                    "metadata": meta,
                }
            )
    return found


def _stamped(item: Object) -> Object:
    meta = item["metadata"]
    return {
        **item,
        "metadata": {**meta, "annotations": {**meta["annotations"], marks.APPLIED: fingerprint(item)}},
    }


def readable(content: Mapping[str, bytes], repo: str, namespace: str) -> tuple[list[Object], list[str]]:
    """Return the Applications of all files that can be read, and what is wrong with the others. Pure."""
    found: list[Object] = []
    problems: list[str] = []
    for path, text in sorted(content.items()):
        try:
            found += adopted([(path, text)], repo, namespace)
        except ManifestError as error:
            problems.append(str(error))
    return found, problems


class Adopter:
    """Applies the Applications of hosted repositories, and deletes those whose file is gone."""

    def __init__(
        self,
        store: Store,
        kube: Kube,
        repositories: Repositories,
        git: Git,
        *,
        mirror: Mirror,
        renderer: Renderer,
        syncer: Syncer,
        settings: Settings,
    ) -> None:
        self._store = store
        self._kube = kube
        self._repositories = repositories
        self._git = git
        self._mirror = mirror
        self._renderer = renderer
        self._syncer = syncer
        self._settings = settings
        self._seen: dict[str, dict[str, bytes]] = {}
        self.problems: dict[str, list[str]] = {}
        """What is wrong in each repository's folder now."""

    async def everything(self) -> None:
        """Look at all repositories."""
        for repository in await self._repositories.list():
            await self.look(repository.name)

    async def look(self, repo: str, tips: Mapping[str, str] | None = None) -> None:
        """Look at one repository's default branch; what is wrong there is in `problems` and in the ledger.

        A file that cannot be used keeps none of the others from being adopted. `tips` maps branches to the commits
        that are known to be there.
        """
        try:
            repository = await self._repositories.get(repo)
            branch = repository.default_branch
            sha = (tips or {}).get(branch) or await self._git.resolve(repo, branch)
            if repository.applications is None or sha is None:
                return
            problems = await self._look(repo, repository.applications.strip("/"), sha)
        except (ReposError, KubeError, SourceError) as error:
            log.warning("delivery.adopt_failed", repo=repo, error=str(error))
            return
        await self._tell(repo, sha, problems)

    async def _tell(self, repo: str, sha: str, problems: list[str]) -> None:
        """Record problems for each commit that has them, and once that there are no more."""
        before = self.problems.get(repo)
        self.problems[repo] = problems
        if not problems and not before:
            return
        kind = "applications.refused" if problems else "applications.adopted"
        for problem in problems:
            log.warning("delivery.adopt_failed", repo=repo, error=problem)
        await self._store.transact(
            lambda tx: tx.record(kind, f"repo/{repo}", actor="windlass", commit=sha, problems=problems)
        )

    async def _look(self, repo: str, folder: str, sha: str) -> list[str]:
        """Adopt what is in the folder at a commit, and return what is wrong there."""
        tree = await self._renderer.tree(repo, sha)
        paths = [path for path in tree.files(folder) if path.endswith(SUFFIXES)]
        content = {path: tree.read(path) or b"" for path in paths}
        if self._seen.get(repo) == content:
            return self.problems.get(repo, [])
        items, unreadable = readable(content, repo, self._settings.namespace)
        refused = await self._apply(items)
        if not unreadable:  # what a broken file named is not known: nothing is taken for deleted
            await self._remove(
                repo, {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
            )
        if not refused:
            self._seen[repo] = content
        return unreadable + refused

    async def _apply(self, items: list[Object]) -> list[str]:
        """Apply those that are not there as they are; returns what the cluster refused."""
        for space in sorted({item["metadata"]["namespace"] for item in items}):
            await self._syncer.namespace(space)
        live = {
            (each["metadata"]["namespace"], each["metadata"]["name"]): each
            for kind in sorted({f"{item['apiVersion']}/{item['kind']}" for item in items})
            for each in (await self._kube.list(kind)).items
        }
        refused = []
        for item in items:
            there = live.get((item["metadata"]["namespace"], item["metadata"]["name"]))
            if there is None or annotations_of(there).get(marks.APPLIED) != fingerprint(item):
                try:
                    self._mirror.wrote(await self._kube.apply(_stamped(item), MANAGER, force=True))
                except KubeError as error:
                    refused.append(f"{item['kind']} {item['metadata']['name']}: {error}")
        return refused

    async def _remove(self, repo: str, kept: set[tuple[str, str]]) -> None:
        for item in (await self._kube.list("argoproj.io/v1alpha1/Application")).items:
            meta = item["metadata"]
            if (
                annotations_of(item).get(marks.ADOPTED) == repo
                and (meta["namespace"], meta["name"]) not in kept
            ):
                await self._kube.delete(
                    "argoproj.io/v1alpha1/Application", meta["name"], meta["namespace"], missing_ok=True
                )
