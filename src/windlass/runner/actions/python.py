"""actions/setup-python: a Python that is on the machine, or that uv brings."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from windlass.runner.actions import reading
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.versions import python_requests
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_USER = (
    "import os, sys; sys.argv[1:] = [one for one in sys.argv[1:] if one != '--user'] if "
    "os.path.basename(sys.argv[0]).startswith('pip') or "
    "(sys.argv[0] == '-m' and 'pip' in getattr(sys, 'orig_argv', ())[:4]) else sys.argv[1:]\n"
)
"""A line for a `.pth` file of an environment: `pip install --user`, which GitHub's Pythons allow and environments
refuse, installs into the environment itself."""
_FINISH = (
    "import pathlib, platform, sys, sysconfig; "
    "pathlib.Path(sysconfig.get_path('purelib'), 'windlass_user.pth').write_text(sys.argv[1]); "
    "print(platform.python_version())"
)
NO_TOOL_CACHE = "packages are kept in a cache that the jobs of this repository share"


def need_uv(run: ActionRun) -> str:
    """Return the version of the uv on the job's PATH, or fail with what to do."""
    shown = run.capture(["uv", "--version"], check=False) if run.which("uv") else ""
    found = re.search(r"\d+\.\d+\.\d+\S*", shown)
    if not found:
        raise StepError(
            "there is no uv on this machine: install the package `uv` beside Windlass, or put uv on PATH"
        )
    return found[0]


def find_python(run: ActionRun, wanted: str) -> str:
    """Return the path of a Python of this version or range, fetched by uv if the machine has none.

    Raises `StepError` where there is no way to one.
    """
    requests = python_requests(wanted)
    for request in requests:
        if path := _find(run, request, download=False):
            return path
    run.say(f"The machine has no Python {wanted}; asking uv for one")
    for request in requests:
        if run.run(["uv", "python", "install", "--no-progress", "--", request], check=False) == 0 and (
            path := _find(run, request, download=True)
        ):
            return path
    listed = run.capture(
        ["uv", "python", "list", "--only-installed"], env={"UV_PYTHON_DOWNLOADS": "never"}, check=False
    )
    there = ", ".join(sorted(set(re.findall(r"(?:cpython|pypy)-(\S+?)-", listed)))) or "none"
    raise StepError(
        f"Python {wanted or '3'} is not on this machine (there: {there}) and uv could not fetch it. "
        "Install it, or ask for a version that is there."
    )


def _find(run: ActionRun, request: str, *, download: bool) -> str:
    env = {} if download else {"UV_PYTHON_DOWNLOADS": "never"}
    asked = ["--", request] if request else []
    return run.capture(["uv", "python", "find", "--no-project", *asked], env=env, check=False).strip()


class SetupPython(BuiltIn):
    """A Python with pip, in an environment of the job's own."""

    names = ("actions/setup-python",)
    about = (
        "Puts a Python of the version on PATH, as an environment with pip in the job's tool directory: the "
        "machine's own stays as it is (`pip install --user` installs there too). Of several versions the last one is "
        "`python`."
    )
    inputs = (
        Input(
            "python-version",
            "found on the machine or fetched by uv; versions, ranges, PyPy, one or more lines",
        ),
        Input("python-version-file", ".python-version, .tool-versions, Pipfile or pyproject.toml"),
        Input("cache", NO_TOOL_CACHE, honour="yes"),
        Input("cache-dependency-path", NO_TOOL_CACHE, honour="yes"),
        Input("architecture", "only the machine's own", honour="error", fine=("x64", "arm64")),
        Input("check-latest", "what is on the machine is used", "false", honour="warn"),
        Input("token", "nothing is downloaded from GitHub", honour="yes"),
        Input("update-environment", "whether PATH is changed", "true"),
        Input("allow-prereleases", "what is on the machine is used, a prerelease too", "false", honour="yes"),
        Input("freethreaded", "whether the free-threaded build is used", "false"),
        Input("pip-version", "the version of pip"),
        Input("pip-install", "packages to install"),
    )
    outputs = MappingProxyType(
        {
            "python-version": "the version",
            "python-path": "the program",
            "cache-hit": "true: the cache is always there",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Find each Python and make its environment."""
        need_uv(run)
        for wanted in _wanted(run):
            python = self._one(run, wanted)
        run.output("cache-hit", "true")
        if packages := run.text("pip-install"):
            run.run([python, "-m", "pip", "install", *packages.split()])

    def _one(self, run: ActionRun, wanted: str) -> str:
        found = find_python(run, wanted)
        name = re.sub(r"[^A-Za-z0-9.]", "_", wanted) or "default"
        venv = f"{run.state.paths.home.inside}/.windlass/python/{name}"
        pip = run.text("pip-version")
        run.run(["uv", "venv", "--quiet", "--allow-existing", "--python", found, "--", venv])
        python = f"{venv}/bin/python"
        run.run(["uv", "pip", "install", "--quiet", "--python", python, f"pip=={pip}" if pip else "pip"])
        version = run.capture([python, "-c", _FINISH, _USER]).strip()
        if run.flag("update-environment"):
            run.add_path(f"{venv}/bin")
            for variable in ("pythonLocation", "Python3_ROOT_DIR", "Python_ROOT_DIR", "VIRTUAL_ENV"):
                run.set_env(variable, venv)
        run.output("python-version", version)
        run.output("python-path", python)
        run.say(f"Python {version} ({found})")
        return python


def _wanted(run: ActionRun) -> list[str]:
    given = run.lines("python-version")
    if not given and (text := reading.named(run, "python-version-file")):
        given = reading.python_version(run.text("python-version-file"), text).splitlines()
        if not given:
            raise StepError(f"{run.text('python-version-file')} does not say which Python is wanted")
    if not given and (text := reading.content(run, ".python-version") or ""):
        given = reading.python_version(".python-version", text).splitlines()
    free = "t" if run.flag("freethreaded") else ""
    return [f"{one}{free}" if free and not one.endswith("t") else one for one in given or [""]]
