"""Finds what `uses:` names for one job: built in, of the workspace, of a repository on this server, an image.

Repositories are fetched by git in the job's sandbox, in the job's name, and each is fetched once: what a ref
came to at set-up is what it is for the whole job. Action files are read by a process in the sandbox as well,
because by the time a step runs, the job may have put anything in their place.
"""

from __future__ import annotations

import base64
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from windlass.runner.actions.reference import Reference, reference
from windlass.runner.errors import CancelledError, StepError, UnknownActionError
from windlass.workflow import parse_action
from windlass.workflow.lock import COMMIT
from windlass.workflow.lock import PATH as LOCK

if TYPE_CHECKING:
    from windlass.runner.actions.base import Action
    from windlass.runner.execute import Planned
    from windlass.runner.state import JobState
    from windlass.runner.step import StepRun
    from windlass.workflow.model import Action as Definition

DEPTH = 10
"""How deep composite actions may be nested; GitHub's limit."""
FILES = ("action.yml", "action.yaml", "Dockerfile")
_LIMIT = 1 << 20
_FETCH = """set -e
rm -rf -- "$1"; mkdir -p -- "$1"; cd -- "$1"
git init --quiet .
git -c protocol.version=2 fetch --quiet --depth=1 --no-tags --no-recurse-submodules -- "$2" "$3"
git -c advice.detachedHead=false checkout --quiet --force --detach FETCH_HEAD
git rev-parse HEAD
rm -rf .git"""
_READ = """for name in "$@"; do
if [ -f "$name" ]; then echo "${name##*/}"; head -c 1048577 -- "$name"; exit; fi
done
exit 44"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an action is: its directory as steps see it and, of a hosted one, what it came from."""

    uses: str
    directory: str
    repository: str = ""
    ref: str = ""
    commit: str = ""


class Library:
    """The actions of one job."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._fetched: dict[tuple[str, str], Source] = {}
        self._read: dict[tuple[str, str, str], Action] = {}

    def prepare(self, uses: str, run: StepRun, depth: int = 0) -> None:
        """Find what can be found before the first step, so that a job does not fail halfway for a name.

        Raises `UnknownActionError`, and `StepError` where an action's file cannot be used.
        """
        from windlass.runner.actions import built_in
        from windlass.runner.actions.composite import Composite

        if built_in(uses) is not None:
            run.say(f"Action {uses}: built in")
            return
        if reference(uses).kind == "local":
            run.say(f"Action {uses}: of the workspace, read when its step begins")
            return
        action = self.find(uses, run)
        if isinstance(action, Composite):
            if depth >= DEPTH:
                raise UnknownActionError(f"{uses}: actions are nested deeper than {DEPTH}")
            for inner in action.uses():
                if not inner.startswith("$/"):
                    self.prepare(inner, run, depth + 1)

    def has_pre(self, step: Planned) -> bool:
        """Return whether the step's action has something to do before the first step. Local ones never do."""
        from windlass.runner.actions import built_in
        from windlass.runner.actions.repository import RepositoryAction

        if (
            not step.uses
            or built_in(step.uses) is not None
            or reference(step.uses).kind in {"local", "image"}
        ):
            return False
        found = self._read.get(self._key(reference(step.uses), self._state))
        return isinstance(found, RepositoryAction) and found.has_pre

    def find(self, uses: str, run: StepRun) -> Action:
        """Return the action that a step uses. Raises `UnknownActionError`, `StepError`."""
        from windlass.runner.actions import built_in
        from windlass.runner.actions.container import ImageAction

        if (action := built_in(uses)) is not None:
            return action
        wanted = reference(uses)
        if wanted.kind == "image":
            return ImageAction(uses, wanted.path)
        if wanted.kind == "local":
            directory = posixpath.normpath(f"{self._state.paths.workspace.inside}/{wanted.path}")
            return self._load(Source(uses, directory))
        key = self._key(wanted, run.state)
        if key not in self._read:
            source = self._fetch(key[0], key[2], wanted, run)
            directory = posixpath.normpath(f"{source.directory}/{wanted.path}")
            self._read[key] = self._load(
                Source(uses, directory, source.repository, source.ref, source.commit)
            )
        return self._read[key]

    @staticmethod
    def _key(wanted: Reference, state: JobState) -> tuple[str, str, str]:
        """Return repository, path and ref; `$/` means the repository that the line stands in."""
        if wanted.kind == "hosted":
            return wanted.repository, wanted.path, wanted.ref
        if state.frame is not None and state.frame.source.commit:
            return state.frame.source.repository, wanted.path, state.frame.source.commit
        spec = state.spec
        if spec.workflow_repository:
            return spec.workflow_repository, wanted.path, spec.workflow_sha
        return spec.repository, wanted.path, str(state.github.get("workflow_sha") or spec.sha)

    def _fetch(self, repository: str, ref: str, wanted: Reference, run: StepRun) -> Source:
        if (repository, ref) in self._fetched:
            return self._fetched[repository, ref]
        spec = self._state.spec
        directory = f"{self._state.paths.actions.inside}/{repository}/{re.sub('[^A-Za-z0-9._-]', '_', ref)}"
        pinned = spec.pins.get("actions", {}).get(f"{repository}@{ref}", "")
        said = ""
        for place in filter(None, (spec.server_url, spec.actions_mirror.rstrip("/"))):
            argv = ["sh", "-c", _FETCH, "sh", directory, f"{place}/{repository}", pinned or ref]
            code, text = self._capture(argv, self._git())
            if code == 0:
                break
            said += text
        else:
            raise UnknownActionError(
                _not_again(f"{repository}@{ref}", pinned, said)
                if pinned
                else self._unknown(repository, ref, wanted, said, run)
            )
        commit = text.strip().rpartition("\n")[2]
        if wanted.kind == "hosted":
            self._locked(f"{repository}@{ref}", commit, run)
            self._state.sink.emit("action", uses=f"{repository}@{ref}", sha=commit)
        run.say(f"Download action repository '{repository}@{ref}' (SHA:{commit}) from {place}")
        self._fetched[repository, ref] = Source(f"{repository}@{ref}", directory, repository, ref, commit)
        return self._fetched[repository, ref]

    def _locked(self, name: str, commit: str, run: StepRun) -> None:
        """Refuse what is another commit than the lock file says."""
        lock = self._state.spec.pins.get("lock", {})
        wanted = lock.get(name, "")
        if wanted and COMMIT.fullmatch(wanted) and wanted != commit:
            raise UnknownActionError(
                f"{name} has moved: {LOCK} says {wanted}, it is {commit} now. Look at what changed between the two; "
                "`windlass lock` takes the new one"
            )
        if lock and not wanted and not COMMIT.fullmatch(name.partition("@")[2]):
            run.warning(f"{name} is not in {LOCK}: `windlass lock` adds it")

    def _unknown(self, repository: str, ref: str, wanted: Reference, text: str, run: StepRun) -> str:
        from windlass.runner.actions import catalogue

        run.say(f"Built in are {', '.join(sorted(catalogue()))}.")
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
        if wanted.short:
            last += " (the beginning of a commit is not enough: write all 40 digits)"
        mirror = self._state.spec.actions_mirror
        return (
            f"{repository}@{ref} is not built in, and could not be fetched: {last}. What helps: a mirror that has it "
            f"(`windlass run --actions-mirror`, or the server's setting `actions_mirror`; now {mirror or 'none'}), "
            "`windlass repo import` of its repository into the server, the action in the checkout (`uses: ./PATH`) "
            "or as an image (docker://IMAGE), or a `run:` step in its place"
        )

    def _git(self) -> dict[str, str]:
        """Return the environment in which git fetches with the job's token, which no argument shows."""
        parts = urlsplit(self._state.spec.server_url)
        basic = base64.b64encode(f"x-access-token:{self._state.token}".encode()).decode()
        self._state.masker.add(basic)
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }

    def _load(self, source: Source) -> Action:
        """Read the action's file and make the action of it."""
        from windlass.runner.actions.composite import Composite
        from windlass.runner.actions.container import DockerfileAction
        from windlass.runner.actions.javascript import JavaScript

        name, text = self._file(source)
        if name == "Dockerfile":
            return DockerfileAction.bare(source)
        parsed = parse_action(
            text, f"{source.uses}/{name}" if source.commit else f"{source.directory}/{name}"
        )
        if parsed.action is None:
            raise StepError("\n".join(map(str, parsed.diagnostics)))
        definition: Definition = parsed.action
        if definition.using == "composite":
            return Composite(source, definition)
        return (DockerfileAction if definition.using == "docker" else JavaScript)(source, definition)

    def _file(self, source: Source) -> tuple[str, str]:
        names = [f"{source.directory}/{name}" for name in FILES]
        code, text = self._capture(["sh", "-c", _READ, "sh", *names], {})
        name, _, content = text.partition("\n")
        if code != 0:
            hint = "" if source.commit else " (is there an actions/checkout step before it?)"
            raise StepError(f"{source.uses}: there is no {', '.join(FILES)} in {source.directory}{hint}")
        if len(content) > _LIMIT:
            raise StepError(f"{source.uses}: {name} is larger than {_LIMIT} bytes")
        return name, content

    def _capture(self, argv: list[str], env: dict[str, str]) -> tuple[int, str]:
        state, captured = self._state, _Captured()
        ending = state.supervisor.run(
            argv, env={**state.base, **env}, cwd=state.paths.home.inside, feed=captured
        )
        if ending.reason:
            raise CancelledError("The operation was cancelled.")
        return ending.code, captured.data.decode("utf-8", "replace")


def _not_again(name: str, pinned: str, said: str) -> str:
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "no reason given")
    return (
        f"{name}: the run that this one repeats used {pinned}, which is not to be had any more: {last}. A new run "
        "(`windlass runs rerun`, or a push) takes what the reference stands for now"
    )


class _Captured:
    def __init__(self) -> None:
        self.data = b""

    def feed(self, chunk: bytes) -> None:
        if len(self.data) <= 2 * _LIMIT:
            self.data += chunk
