"""actions/checkout: git in the job's sandbox, since what lies in the workspace is the job's."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.patience import converse
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+\Z")
_SUBMODULES = {"false": [], "true": ["--init"], "recursive": ["--init", "--recursive"]}


@dataclass(frozen=True, slots=True)
class Target:
    """What to fetch and what to check out: refspecs for `git fetch`, then a start point and a branch ("" detached)."""

    refspecs: tuple[str, ...]
    start: str
    branch: str = ""


def target(ref: str, sha: str, *, everything: bool) -> Target:
    """Return what a full ref, or a commit, comes to. Pure.

    With `everything` (fetch-depth 0) all branches and tags come along, as the original does it.
    """
    all_of_it = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*") if everything else ()
    if not ref:
        return Target((*all_of_it, sha) if not everything else all_of_it, sha)
    source = sha or ref
    if ref.startswith("refs/heads/"):
        branch = ref.removeprefix("refs/heads/")
        place = f"refs/remotes/origin/{branch}"
        start = sha or place if everything else place
        return Target(all_of_it or (f"+{source}:{place}",), start, branch)
    if ref.startswith("refs/tags/"):
        return Target(all_of_it or (f"+{source}:{ref}",), ref)
    if ref.startswith("refs/pull/"):
        place = f"refs/remotes/pull/{ref.removeprefix('refs/pull/')}"
        return Target((*all_of_it, f"+{source}:{place}"), place)
    return Target((*all_of_it, f"+{source}:{ref}"), ref)


class Checkout(BuiltIn):
    """Clone of a hosted repository into the workspace."""

    names = ("actions/checkout",)
    about = "Checks out a repository that this server hosts, by the name that it has on GitHub."
    has_post = True
    inputs = (
        Input("repository", "OWNER/NAME of a repository on this server; the run's own by default"),
        Input("ref", "branch, tag or commit; what started the run by default"),
        Input("token", "who fetches, and pushes later; the job's token by default"),
        Input("ssh-key", "repositories are served over HTTP only", honour="error"),
        Input("ssh-known-hosts", "repositories are served over HTTP only", honour="warn"),
        Input("ssh-strict", "repositories are served over HTTP only", "true", honour="warn"),
        Input("ssh-user", "repositories are served over HTTP only", "git", honour="warn"),
        Input("persist-credentials", "whether later git commands use the token", "true"),
        Input("path", "where to, relative to the workspace"),
        Input("clean", "whether to clean a repository that is there already", "true"),
        Input("filter", "partial clone filter; overrides sparse-checkout"),
        Input("sparse-checkout", "patterns of what to check out"),
        Input("sparse-checkout-cone-mode", "whether the patterns are directories", "true"),
        Input("fetch-depth", "how many commits; 0 for all branches and tags", "1"),
        Input("fetch-tags", "whether to fetch tags", "false"),
        Input("show-progress", "progress is not shown", "true", honour="warn", fine=("false",)),
        Input(
            "lfs",
            "this server keeps no Git LFS objects, so files would be their pointers: fetch them in a step of their own",
            "false",
            honour="error",
        ),
        Input("submodules", "true, false or recursive", "false"),
        Input("set-safe-directory", "the workspace belongs to the job's user already", "true", honour="warn"),
        Input("github-server-url", "every repository name means this server", honour="warn"),
    )
    outputs = MappingProxyType(
        {"ref": "the branch, tag or commit that was checked out", "commit": "the commit"}
    )

    def main(self, run: ActionRun) -> None:
        """Fetch and check out."""
        repository = run.text("repository") or str(run.github["repository"])
        if not _REPOSITORY.match(repository):
            raise StepError(f"input repository: {repository!r} is not OWNER/NAME")
        url = f"{run.state.spec.server_url}/{repository}"
        clone = _Clone(run, url)
        clone.prepare()
        ref, sha = _wanted(run, clone, own=repository == run.github["repository"])
        clone.check_out(ref, sha)
        commit = run.capture(["git", "rev-parse", "HEAD"], cwd=clone.directory).strip()
        run.output("commit", commit)
        run.output("ref", ref or sha)
        run.memory["clone"] = clone
        run.say(f"{repository} is at {commit}")

    def post(self, run: ActionRun) -> None:
        """Take the token out of the repository's configuration."""
        clone = run.memory.get("clone")
        if clone is not None and run.flag("persist-credentials"):
            clone.forget()


class _Clone:
    """One repository in the workspace, and the git commands that make it."""

    def __init__(self, run: ActionRun, url: str) -> None:
        self.run = run
        self.url = url
        workspace = run.state.paths.workspace.inside
        path = run.text("path")
        run.host_path(path or ".")
        self.directory = f"{workspace}/{path}".rstrip("/") if path else workspace
        token = run.text("token") or run.state.token
        run.state.masker.add(token)
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        run.state.masker.add(basic)
        parts = urlsplit(run.state.spec.server_url)
        self.key = f"http.{parts.scheme}://{parts.netloc}/.extraheader"
        self._header = f"AUTHORIZATION: basic {basic}"
        # not an argument, which others could see, and not in the file while `persist-credentials` is off
        # (the empty value takes away what the file says: two such headers are none to a server)
        self.env = {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": self.key,
            "GIT_CONFIG_VALUE_0": "",
            "GIT_CONFIG_KEY_1": self.key,
            "GIT_CONFIG_VALUE_1": self._header,
        }
        self.fetched: set[str] = set()

    def git(self, *arguments: str, check: bool = True, credentials: bool = False) -> int:
        return self.run.run(
            ["git", *arguments], cwd=self.directory, env=self.env if credentials else None, check=check
        )

    def talk(self, *arguments: str) -> None:
        """Run git with credentials; what it does may be done twice."""
        converse(self.run, ["git", *arguments], cwd=self.directory, env=self.env)

    def prepare(self) -> None:
        """Make an empty repository, or clean the one that is there."""
        run = self.run
        run.run(["mkdir", "-p", self.directory], quiet=True)
        if run.capture(["git", "rev-parse", "--is-inside-git-dir"], cwd=self.directory, check=False) and (
            run.capture(["git", "rev-parse", "--show-prefix"], cwd=self.directory, check=False).strip() == ""
        ):
            self.git("remote", "set-url", "origin", self.url, check=False)
            if run.flag("clean"):
                self.git("clean", "-ffdx")
                self.git("reset", "--hard", "HEAD", check=False)
        else:
            self.git("init", "--quiet")
            self.git("remote", "add", "origin", self.url)
        self.git("config", "--local", "gc.auto", "0")
        self.git("config", "--local", "--unset-all", self.key, check=False)
        if run.flag("persist-credentials"):
            self.remember()

    def remember(self) -> None:
        """Put the header where later git commands find it; through standard input, not as an argument."""
        section = f'[http "{self.key.removeprefix("http.").removesuffix(".extraheader")}"]'
        text = f"{section}\n\textraheader = {self._header}\n"
        self.run.run(
            ["sh", "-c", 'cat >> "$(git rev-parse --git-dir)/config"'],
            cwd=self.directory,
            source=text.encode(),
            quiet=True,
        )

    def forget(self) -> None:
        self.git("config", "--local", "--unset-all", self.key, check=False)

    def check_out(self, ref: str, sha: str) -> None:
        run = self.run
        depth = _depth(run)
        wanted = target(ref, sha, everything=depth == 0)
        options = ["--no-tags", "--prune", "--no-recurse-submodules", "--quiet"]
        if depth > 0:
            options += [f"--depth={depth}"]
        if filtered := run.text("filter") or ("blob:none" if run.lines("sparse-checkout") else ""):
            options += [f"--filter={filtered}"]
        refspecs = (
            [*wanted.refspecs, "+refs/tags/*:refs/tags/*"] if run.flag("fetch-tags") else wanted.refspecs
        )
        self.talk("-c", "protocol.version=2", "fetch", *options, "origin", *dict.fromkeys(refspecs))
        self._sparse()
        name = ["-B", wanted.branch] if wanted.branch else ["--detach"]
        self.git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", *name, wanted.start)
        if wanted.branch and wanted.start != f"refs/remotes/origin/{wanted.branch}":
            self.git("branch", "--quiet", f"--set-upstream-to=origin/{wanted.branch}", check=False)
        self._submodules()

    def _sparse(self) -> None:
        if patterns := self.run.lines("sparse-checkout"):
            mode = "--cone" if self.run.flag("sparse-checkout-cone-mode") else "--no-cone"
            self.git("sparse-checkout", "set", mode, "--", *patterns)

    def _submodules(self) -> None:
        choice = self.run.text("submodules").lower()
        if choice not in _SUBMODULES:
            raise StepError(f"input submodules: {choice!r} is none of true, false, recursive")
        if options := _SUBMODULES[choice]:
            recursive = options[1:]
            # GitHub's names for our repositories, whichever way they were written
            server = f"url.{self.run.state.spec.server_url}/.insteadOf"
            rewrite = [
                part
                for old in ("https://github.com/", "git@github.com:")
                for part in ("-c", f"{server}={old}")
            ]
            self.git(*rewrite, "submodule", "sync", *recursive, credentials=True)
            self.talk(*rewrite, "submodule", "update", "--depth=1", "--force", *options)


def _depth(run: ActionRun) -> int:
    text = run.text("fetch-depth")
    if not text.isdecimal():
        raise StepError(f"input fetch-depth: {text!r} is not a number")
    return int(text)


def _wanted(run: ActionRun, clone: _Clone, *, own: bool) -> tuple[str, str]:
    """Return (full ref or "", commit or "")."""
    given = run.text("ref")
    if not given and own:
        return str(run.github.get("ref") or ""), str(run.github.get("sha") or "")
    if given.startswith("-"):
        raise StepError(f"input ref: {given!r} is not the name of a branch, tag or commit")
    if _SHA.match(given):
        return "", given
    if given.startswith("refs/"):
        return given, ""
    return _ask(run, clone, given)


def _ask(run: ActionRun, clone: _Clone, given: str) -> tuple[str, str]:
    """Ask the server for the branch or tag of this name, or for its default branch."""
    names = [f"refs/heads/{given}", f"refs/tags/{given}"] if given else ["HEAD"]
    question = ["git", "ls-remote", "--symref", "--", "origin", *names]
    listed = converse(run, question, cwd=clone.directory, env=clone.env, quiet=True)
    rows = [line.split("\t", 1) for line in listed.splitlines() if "\t" in line]
    found = {name: sha for sha, name in rows if not sha.startswith("ref: ")}
    if not given:
        default = next((sha.removeprefix("ref: ") for sha, name in rows if sha.startswith("ref: ")), "")
        if not default or "HEAD" not in found:
            raise StepError(f"{clone.url} has no commits yet: there is nothing to check out")
        return default, ""
    for name in names:
        if name in found:
            return name, ""
    raise StepError(f"{clone.url} has neither a branch nor a tag named {given!r}")
