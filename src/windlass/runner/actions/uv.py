"""astral-sh/setup-uv: the uv that is on the machine, or that PyPI has."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from windlass.runner.actions import reading
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.fetching import fetch_once
from windlass.runner.actions.python import NO_TOOL_CACHE, find_python, need_uv
from windlass.runner.actions.versions import ANY, clauses, satisfies
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_FILES = ("uv.toml", "pyproject.toml")
_FROM_INDEX = "another uv comes from the package index"


class SetupUv(BuiltIn):
    """uv, with a cache that jobs share."""

    names = ("astral-sh/setup-uv",)
    about = "Puts uv on PATH: the one Windlass depends on, the machine's, or of another version from PyPI."
    inputs = (
        Input("version", "a version or range; what uv.toml or pyproject.toml requires by default"),
        Input("version-file", "uv.toml, pyproject.toml, requirements.txt or .tool-versions"),
        Input("python-version", "sets UV_PYTHON; found on the machine or fetched by uv"),
        Input("activate-environment", "makes a virtual environment and activates it", "false"),
        Input("venv-path", "where that environment is made; .venv by default"),
        Input("working-directory", "where commands are run, and files looked for"),
        Input("checksum", _FROM_INDEX, honour="warn"),
        Input("server-url", _FROM_INDEX, honour="warn"),
        Input("github-token", _FROM_INDEX, honour="yes"),
        Input("manifest-file", _FROM_INDEX, honour="error"),
        Input("download-from-astral-mirror", _FROM_INDEX, "true", honour="yes"),
        Input(
            "resolution-strategy",
            "a uv on the machine that satisfies the range is used",
            "highest",
            honour="warn",
            fine=("lowest",),
        ),
        Input("ignore-nothing-to-cache", NO_TOOL_CACHE, "false", honour="yes"),
        Input("ignore-empty-workdir", "an empty directory is no error", "false", honour="yes"),
        Input("enable-cache", NO_TOOL_CACHE, "auto", honour="yes"),
        Input("restore-cache", NO_TOOL_CACHE, "true", honour="yes"),
        Input("save-cache", NO_TOOL_CACHE, "true", honour="yes"),
        Input("cache-dependency-glob", NO_TOOL_CACHE, honour="yes"),
        Input("cache-suffix", NO_TOOL_CACHE, honour="yes"),
        Input("cache-python", NO_TOOL_CACHE, "false", honour="yes"),
        Input("prune-cache", NO_TOOL_CACHE, "true", honour="yes"),
        Input("cache-local-path", "sets UV_CACHE_DIR"),
        Input("tool-dir", "sets UV_TOOL_DIR"),
        Input("tool-bin-dir", "sets UV_TOOL_BIN_DIR"),
        Input("add-problem-matchers", "errors of Python's tools are always found", "true", honour="yes"),
        Input("quiet", "little is said anyhow", "false", honour="yes"),
    )
    outputs = MappingProxyType(
        {
            "uv-version": "the version of uv",
            "uv-path": "where uv is",
            "uvx-path": "where uvx is",
            "cache-hit": "true: the cache is always there",
            "python-version": "the Python that UV_PYTHON names",
            "venv": "the environment that was activated",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Verify uv and set what the inputs ask for."""
        version, directory = _uv(run)
        for name, value in (("uv-version", version), ("uv-path", f"{directory}/uv")):
            run.output(name, value)
        run.output("uvx-path", f"{directory}/uvx")
        run.output("cache-hit", "true")
        if cache := run.text("cache-local-path"):
            run.set_env("UV_CACHE_DIR", cache)
        run.say(f"uv {version}, cache {cache or run.state.base['UV_CACHE_DIR']}")
        tools = run.text("tool-bin-dir") or f"{run.state.paths.home.inside}/.local/bin"
        run.set_env("UV_TOOL_BIN_DIR", tools)
        run.add_path(tools)
        if tools := run.text("tool-dir"):
            run.set_env("UV_TOOL_DIR", tools)
        if wanted := run.text("python-version"):
            _python(run, wanted)
        if run.flag("activate-environment"):
            _activate(run)


def _uv(run: ActionRun) -> tuple[str, str]:
    """Return the version of a uv that is as wanted, and the directory that it is in."""
    version, wanted = need_uv(run), _wanted(run)
    if not wanted or wanted in ANY or satisfies(version, wanted):
        return version, run.state.paths.bin.inside
    place = f"{run.state.paths.tools.inside}/uv-versions/{re.sub(r'[^A-Za-z0-9.]', '_', wanted)}"
    run.say(f"uv {wanted} is wanted, the machine has {version}; asking the package index for one")
    argv = ["uv", "pip", "install", "--quiet", _requirement(wanted), "--target"]
    if not fetch_once(run, place, lambda directory: run.run([*argv, directory], check=False)):
        raise StepError(
            f"uv {wanted} is wanted, the machine has {version}, and no package index that this machine reaches has "
            "that one: install it, or ask for another"
        )
    run.add_path(f"{place}/bin")
    shown = run.capture([f"{place}/bin/uv", "--version"]).split()
    return shown[1], f"{place}/bin"


def _requirement(wanted: str) -> str:
    """Return a range as a requirement for pip."""
    read = clauses(wanted)
    if not read or "||" in wanted:
        raise StepError(f"input version: {wanted!r} is not a version or range of uv")
    bounds = []
    for operator, bound in read:
        text = ".".join(map(str, bound))
        if operator in {"^", "~", "~="}:
            operator, text = "~=", text if len(bound) > 1 else f"{text}.0"  # noqa: PLW2901
        elif operator in {"==", "!="} and len(bound) < 3:
            text += ".*"
        bounds.append(f"{operator}{text}")
    return f"uv{','.join(bounds)}"


def _wanted(run: ActionRun) -> str:
    """Return the version that the input asks for, or the project."""
    if given := run.text("version"):
        return given
    if text := reading.named(run, "version-file"):
        return reading.uv_version(run.text("version-file"), text)
    where = run.text("working-directory").rstrip("/")
    for name in _FILES:
        text = reading.content(run, f"{where}/{name}" if where else name) or ""
        if found := reading.uv_version(name, text):
            return found
    return ""


def _python(run: ActionRun, wanted: str) -> None:
    path = find_python(run, wanted)
    run.say(f"Python {wanted}: {path}")
    run.set_env("UV_PYTHON", wanted)
    run.output("python-version", wanted)
    env = {"UV_PYTHON_DOWNLOADS": "never"}
    if run.capture(["uv", "python", "find", "--no-project", "--", wanted], env=env, check=False):
        run.set_env("UV_PYTHON_DOWNLOADS", "never")


def _activate(run: ActionRun) -> None:
    where, path = run.text("working-directory"), run.text("venv-path") or ".venv"
    root = run.state.paths.workspace.inside
    root = where if where.startswith("/") else f"{root}/{where}".rstrip("/").removesuffix("/.")
    run.run(["uv", "venv", "--allow-existing", "--", path], cwd=root)
    venv = path if path.startswith("/") else f"{root}/{path}"
    run.set_env("VIRTUAL_ENV", venv)
    run.add_path(f"{venv}/bin")
    run.output("venv", venv)
