"""From an Application and a commit to the objects that it stands for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio.to_thread

from windlass.delivery import decorate, marks
from windlass.delivery.errors import SourceError
from windlass.delivery.records import Deployment
from windlass.manifests import CLUSTER_SCOPED, ManifestError, containers, dig, identify, render
from windlass.registry import BadReferenceError, ImageNotFoundError, Reference, RegistryError
from windlass.repos import ReposError, hosted_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from windlass.delivery.settings import Settings
    from windlass.manifests import Object
    from windlass.repos import Git

MAX_BLOBS = 20_000
MAX_BYTES = 32 << 20
LINK = "120000"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an Application's manifests come from. `repo` is the hosted name; `text` is what makes it this one."""

    repo: str
    revision: str
    path: str
    spec: Object
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """What one commit deploys to one Application: rendered, images by digest, every object with its namespace."""

    objects: tuple[Object, ...]
    images: dict[str, str]
    templates: dict[str, str]
    gated: frozenset[str]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()

    def deployment(self, delivery: int) -> Deployment:
        """Return the record of it."""
        return Deployment(delivery, self.images, self.templates, self.files)

    def named(self, key: str) -> Object | None:
        """Return the workload with this key."""
        return next((item for item in self.objects if marks.workload_key(item) == key), None)


def source_of(app: Object, settings: Settings) -> Source:
    """Return an Application's source; raises `SourceError`."""
    spec = dig(app, "spec", "source")
    if not isinstance(spec, dict):
        several = "spec.sources" if dig(app, "spec", "sources") else "no spec.source"
        raise SourceError(f"{several}: an Application needs exactly one source")
    if spec.get("chart"):
        raise SourceError(f"the Helm chart {spec['chart']} is not supported; render it into the repository")
    url = str(spec.get("repoURL") or "")
    repo = hosted_name(url, settings.forges)
    if repo is None:
        raise SourceError(
            f"{url or 'an empty repoURL'} is not hosted here; known are repositories of {', '.join(settings.forges)}"
        )
    text = json.dumps({"source": spec, "destination": dig(app, "spec", "destination")}, sort_keys=True)
    revision = str(spec.get("targetRevision") or "HEAD")
    return Source(repo, revision, str(spec.get("path") or ""), spec, text)


def earlier(repo: str, text: str) -> Source:
    """Return the source as it was when a delivery was made."""
    spec = json.loads(text).get("source") or {}
    return Source(repo, str(spec.get("targetRevision") or "HEAD"), str(spec.get("path") or ""), spec, text)


class GitTree:
    """The files of one commit, all in memory; remembers what was read."""

    def __init__(self, content: dict[str, bytes], links: frozenset[str]) -> None:
        self._content = content
        self._links = links
        self.used: set[str] = set()

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None; `ManifestError` for a link."""
        if path in self._links:
            raise ManifestError(f"{path} is a symbolic link; refer to the file itself")
        found = self._content.get(path)
        if found is not None:
            self.used.add(path)
        return found

    def files(self, folder: str) -> list[str]:
        """Return the paths below a folder."""
        return sorted(path for path in self._content if not folder or path.startswith(folder + "/"))


@dataclass(slots=True)
class Renderer:
    """Reads commits and renders them. What was read is kept by its blob id, so that a next commit costs little."""

    git: Git
    resolve: Callable[[str], Awaitable[str]]
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _trees: dict[tuple[str, str], GitTree] = field(default_factory=dict)

    async def tree(self, repo: str, sha: str) -> GitTree:
        """Return the files of a commit; `SourceError` where they are too many, `ReposError` where there are none."""
        if (known := self._trees.get((repo, sha))) is not None:
            return GitTree(known._content, known._links)  # noqa: SLF001 its own kind
        entries = await self.git.list_files(repo, sha)
        if len(entries) > MAX_BLOBS or sum(entry.size for entry in entries) > MAX_BYTES:
            raise SourceError(f"{repo} at {sha[:12]} is larger than {MAX_BLOBS} files or {MAX_BYTES} bytes")
        missing = [entry for entry in entries if entry.sha not in self._blobs and not entry.is_symlink]
        if missing:
            found = await self.git.read_files(repo, sha, [entry.path for entry in missing])
            self._blobs.update({e.sha: found[e.path] for e in missing if e.path in found})
        content = {entry.path: self._blobs[entry.sha] for entry in entries if entry.sha in self._blobs}
        links = frozenset(entry.path for entry in entries if entry.is_symlink)
        tree = GitTree(content, links)
        while len(self._trees) > 20:
            self._trees.pop(next(iter(self._trees)))
        if sum(map(len, self._blobs.values())) > 4 * MAX_BYTES:
            self._blobs = {}
        self._trees[repo, sha] = tree
        return GitTree(content, links)

    async def render(
        self, app: Object, source: Source, sha: str, known: dict[str, str] | None = None
    ) -> Target:
        """Render a commit. `known` are the digests resolved before: no image is asked for again.

        Raises `SourceError`, `ManifestError`, `ImageNotFoundError`.
        """
        try:
            tree = await self.tree(source.repo, sha)
        except ReposError as error:
            raise SourceError(str(error)) from error
        items = await anyio.to_thread.run_sync(render, tree, source.spec)
        hooks = tuple(str(identify(item)) for item in items if _is_hook(item))
        items = [item for item in items if not _is_hook(item)]
        space = str(dig(app, "spec", "destination", "namespace") or "")
        for item in items:
            _place(item, space)
        images, notes = await self._pin(items, known)
        gated = frozenset(marks.workload_key(item) for item in items if decorate.is_gated(item, items))
        hashes = decorate.templates(items)
        return Target(tuple(items), images, hashes, gated, tuple(sorted(tree.used)), tuple(notes), hooks)

    async def _pin(
        self, items: list[Object], known: dict[str, str] | None
    ) -> tuple[dict[str, str], list[str]]:
        images: dict[str, str] = {}
        notes: list[str] = []
        for container in (each for item in items for each in containers(item)):
            text = str(container.get("image") or "")
            if not text:
                continue
            if text not in images:
                images[text] = await self._digest(text, known, notes)
            if images[text] and "@" not in text:
                container["image"] = f"{text}@{images[text]}"
        return {image: digest for image, digest in images.items() if digest}, notes

    async def _digest(self, text: str, known: dict[str, str] | None, notes: list[str]) -> str:
        if known is not None:
            return known.get(text, "")
        try:
            reference = Reference.parse(text)
        except BadReferenceError as error:
            raise ManifestError(str(error)) from None
        if reference.digest:
            return reference.digest
        try:
            return await self.resolve(text)
        except ImageNotFoundError:
            raise
        except RegistryError as error:
            notes.append(f"{text} is deployed by its tag: {error}")
            return ""


def _is_hook(item: Object) -> bool:
    notes = dig(item, "metadata", "annotations") or {}
    return (marks.HOOK in notes and notes[marks.HOOK] != "Skip") or "helm.sh/hook" in notes


def _place(item: Object, namespace: str) -> None:
    if item.get("kind") in CLUSTER_SCOPED:
        item["metadata"].pop("namespace", None)
        return
    if not item["metadata"].get("namespace"):
        if not namespace:
            raise SourceError(f"{identify(item)} has no namespace, and spec.destination.namespace is empty")
        item["metadata"]["namespace"] = namespace


def unique(items: Iterable[Object]) -> list[str]:
    """Return the identities that stand more than once."""
    seen: set[str] = set()
    twice = []
    for item in items:
        name = str(identify(item))
        if name in seen:
            twice.append(name)
        seen.add(name)
    return twice
