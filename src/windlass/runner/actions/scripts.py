"""actions/github-script, astral-sh/ruff-action and pre-commit/action: programs that npm and uv bring."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from windlass.runner.actions import reading, toolkit
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.fetching import NPM_ENVIRONMENT, NPM_OPTIONS, fetch_once
from windlass.runner.actions.node import node_for_action
from windlass.runner.actions.python import need_uv
from windlass.runner.actions.repository import input_variables
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

PACKAGES = (
    "@actions/core@1.11.1", "@actions/exec@1.1.1", "@actions/github@6.0.1", "@actions/glob@0.5.0", "@actions/io@1.1.3",
)  # fmt: skip
_EDITION = "1"
"""Part of the directory that the packages are in: another set goes to another one."""
_PINNED_RUFF = re.compile(r"""(?:^|["'\s])ruff\s*((?:==|>=|<=|~=|<|>)[^"';#\]]+)""", re.MULTILINE)


class GithubScript(BuiltIn):
    """A script in the workflow file, run by node with the toolkit."""

    names = ("actions/github-script",)
    heeds = True
    about = (
        "Runs the script by node with `core`, `exec`, `glob`, `io`, `context` and `github`; the toolkit's packages "
        "come from npm, once. Of GitHub's API this server has little: a call that it does not serve fails and says so."
    )
    inputs = (
        Input("script", "the body of an async function", required=True),
        Input("github-token", "who `github` is; the job's token by default"),
        Input("result-encoding", "json or string", "json"),
        Input("user-agent", "how `github` names itself", "actions/github-script"),
        Input("base-url", "where `github` asks; this server by default"),
        Input("debug", "requests are not logged", "false", honour="warn"),
        Input("previews", "this server's API has none", honour="warn"),
        Input("retries", "a call is made once", "0", honour="warn"),
        Input("retry-exempt-status-codes", "a call is made once", "400,401,403,404,422", honour="yes"),
    )
    outputs = MappingProxyType({"result": "what the script returns"})

    def main(self, run: ActionRun) -> None:
        """Run it."""
        place = _packages(run)
        if not run.text("github-token"):
            run.inputs["github-token"] = run.state.token
        env = {
            **toolkit.variables(run.state.spec, run.state.token),
            **input_variables(run),
            **run.step.files(),
            "GITHUB_ACTION": run.step_id,
            "WINDLASS_TOOLKIT": place,
        }
        script = Path(__file__).with_name("github_script.cjs")
        argv = [node_for_action(run, 16, told=False), str(script)]
        code = run.run(argv, env={**env, **toolkit.under_alias(run.state.spec, env)}, check=False, quiet=True)
        run.step.output.finish()
        if code != 0:
            raise StepError(f"The script ended with exit code {code}.")


def _packages(run: ActionRun) -> str:
    """Return where the toolkit's packages are; npm fetches them into the tools that jobs share. `StepError`."""
    place = f"{run.state.paths.tools.inside}/github-script/{_EDITION}"
    npm = shutil.which("npm", path=run.state.base["PATH"]) or ""

    def install(directory: str) -> int:
        argv = [npm, "install", *NPM_OPTIONS, "--prefix", directory, "--", *PACKAGES]
        return run.run(argv, env=NPM_ENVIRONMENT, check=False) if npm else 1

    if not fetch_once(run, place, install):
        raise StepError(
            "actions/github-script needs the toolkit's packages (@actions/core and others), and "
            + ("npm could not fetch them" if npm else "there is no npm on this machine to fetch them")
            + ": make npm work for jobs, or write the script as a `run:` step"
        )
    return place


class Ruff(BuiltIn):
    """Lint and format Python."""

    names = ("astral-sh/ruff-action", "chartboost/ruff-action")
    heeds = True
    about = "Runs ruff, which uv brings from the package index; what it finds is annotated."
    inputs = (
        Input("args", "ruff's arguments", "check"),
        Input("src", "files, directories or patterns, on lines or with spaces; the workspace by default"),
        Input("version", "a version or range; what pyproject.toml asks for, else the latest, by default"),
        Input("version-file", "a pyproject.toml or requirements.txt that asks for ruff"),
        Input("checksum", "ruff comes from the package index", honour="warn"),
        Input("manifest-file", "ruff comes from the package index", honour="error"),
        Input("download-from-astral-mirror", "ruff comes from the package index", "true", honour="yes"),
        Input("github-token", "nothing is asked of GitHub", honour="yes"),
        Input("summary", "whether what it prints becomes the step's summary", "true"),
        Input("changed-files", "all of `src` is looked at", "false", honour="error"),
    )
    outputs = MappingProxyType({"ruff-version": "the version that ran"})

    def main(self, run: ActionRun) -> None:
        """Run it."""
        need_uv(run)
        tool = ["uvx", "--from", f"ruff{_ruff(run)}", "ruff"]
        shown = run.capture([*tool, "--version"]).split()
        run.output("ruff-version", shown[-1] if shown else "")
        argv = [*tool, *_words("args", run.inputs["args"]), *_sources(run)]
        env = {"RUFF_OUTPUT_FORMAT": run.env.get("RUFF_OUTPUT_FORMAT", "github")}
        run.say(f"[command]{shlex.join(argv)}")
        code, text = run.hear(argv, env=env)
        run.step.output.finish()
        if run.flag("summary") and text.strip():
            markdown = f"## ruff\n\n```\n{run.state.masker.mask_text(text.strip()[-60_000:])}\n```\n"
            run.state.sink.emit("summary", step=run.step.number, markdown=markdown)
        if code != 0:
            raise StepError(f"ruff ended with exit code {code}.")


def _ruff(run: ActionRun) -> str:
    """Return what follows `ruff` in the requirement."""
    given = run.text("version")
    if given and given != "latest":
        return given if given[0] in "<>=~!" else f"=={given}"
    if given == "latest":
        return ""
    text = reading.named(run, "version-file") or reading.content(run, "pyproject.toml") or ""
    found = _PINNED_RUFF.search(text)
    return re.sub(r"\s+", "", found[1]) if found else ""


def _sources(run: ActionRun) -> list[str]:
    """Return the paths that `src` names; patterns are expanded by the job's shell, and nothing else is."""
    script = "shopt -s globstar nullglob; IFS=; for one in $1; do printf '%s\\n' \"$one\"; done"
    found: list[str] = []
    for word in _words("src", run.inputs["src"]) or [run.state.paths.workspace.inside]:
        magic = any(mark in word for mark in "*?[")
        found += run.capture(["bash", "-c", script, "bash", word]).splitlines() if magic else [word]
    if not found:
        raise StepError(f"input src: nothing matches {run.text('src')!r}")
    return found


def _words(name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StepError(f"input {name}: {text!r} cannot be read: {error}") from error


class PreCommit(BuiltIn):
    """The repository's hooks."""

    names = ("pre-commit/action",)
    heeds = True
    about = "Runs pre-commit, which uv brings from the package index, with a cache of hooks that jobs share."
    inputs = (
        Input("extra_args", "arguments of `pre-commit run`", "--all-files"),
        Input("token", "nothing is pushed back", honour="error"),
    )

    def main(self, run: ActionRun) -> None:
        """Run it."""
        need_uv(run)
        run.set_env("PRE_COMMIT_HOME", f"{run.state.paths.tools.inside}/pre-commit")
        extra = _words("extra_args", run.inputs["extra_args"])
        run.run(["uvx", "pre-commit", "run", "--show-diff-on-failure", "--color=always", *extra])
