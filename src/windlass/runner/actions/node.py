"""actions/setup-node, and the node that JavaScript actions run by: the machine's, or one that npm brings."""

from __future__ import annotations

import re
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from windlass.runner.actions import reading
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.fetching import NPM_ENVIRONMENT, NPM_OPTIONS, fetch_once
from windlass.runner.actions.versions import ANY, numbers, satisfies
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_LTS = {"argon": "4", "boron": "6", "carbon": "8", "dubnium": "10", "erbium": "12", "fermium": "14",
        "gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}  # fmt: skip
_EVERY_LTS = "20 || 22 || 24 || 26"
_SHARED = "packages are kept in a cache that the jobs of this repository share"
_UNUSED = "what npm's registry has is used"
_KNOWN: dict[str, str] = {}
"""Versions by path: a runner's process is one job's, and asking takes longer than many a step."""
_PLACEHOLDER = "XXXXX-XXXXX-XXXXX-XXXXX"
"""What npm finds as a token where the step sets none, as on GitHub: without one npm refuses the file."""


def node_range(wanted: str) -> str:
    """Return a range for GitHub's names of versions: `lts/*`, `lts/iron`, `latest`."""
    text = wanted.strip().lower()
    if text.startswith("lts"):
        name = text.partition("/")[2]
        if name in {"", "*", "-1"}:
            return _EVERY_LTS
        if name not in _LTS:
            raise StepError(f"node {wanted}: the long-term release is none of {', '.join(_LTS)}")
        return _LTS[name]
    return "*" if text in ANY else text


def machine_node(run: ActionRun) -> tuple[str, str]:
    """Return the path and version of the machine's own node, which no step can replace; both "" without one."""
    found = shutil.which("node", path=run.state.base["PATH"]) or ""
    if found and found not in _KNOWN:
        _KNOWN[found] = run.capture([found, "--version"], check=False).strip().removeprefix("v")
    version = _KNOWN.get(found, "")
    return (found, version) if version else ("", "")


def find_node(run: ActionRun, wanted: str) -> tuple[str, str]:
    """Return path and version of a node within the range; where the machine has none, npm is asked for it.

    Raises `StepError` where there is no way to one.
    """
    within = node_range(wanted)
    path, version = machine_node(run)
    if version and satisfies(version, within):
        return path, version
    for newest in reversed(within.split("||")):
        if found := _fetched(run, newest.strip()):
            return found
    there = f"this machine has {version}" if version else "this machine has none"
    raise StepError(
        f"node {wanted} is wanted, {there}, and npm could not fetch it: install it on this machine (on Debian: "
        "apt-get install nodejs npm; WINDLASS_SANDBOX_PATHS names further directories for jobs), or ask for a "
        "version that is there"
    )


def _fetched(run: ActionRun, within: str) -> tuple[str, str] | None:
    """Have npm fetch the package of node's program for this machine into the tools that jobs share."""
    npm = shutil.which("npm", path=run.state.base["PATH"])
    if npm is None:
        return None
    system = {"Linux": "linux", "macOS": "darwin"}.get(run.state.runner["os"], "linux")
    package = f"node-{system}-{run.state.runner['arch'].lower()}"
    place = f"{run.state.paths.tools.inside}/node/{re.sub(r'[^A-Za-z0-9.]', '_', within) or 'latest'}"
    program = f"{place}/node_modules/{package}/bin/node"
    asked = f"{package}@{within if within not in ANY else 'latest'}"

    def install(directory: str) -> int:
        run.say(f"The machine has no node {within}; asking npm for one")
        argv = [npm, "install", *NPM_OPTIONS, "--prefix", directory, "--", asked]
        return run.run(argv, env=NPM_ENVIRONMENT, check=False)

    if not fetch_once(run, place, install):
        return None
    shown = _version_of(run, program)
    return (program, shown.strip().removeprefix("v")) if shown else None


def _version_of(run: ActionRun, program: str) -> str:
    return run.capture([program, "--version"], check=False) if run.host_path(program).is_file() else ""


def node_for_action(run: ActionRun, major: int, *, told: bool = True) -> str:
    """Return the node for an action written for this major version; a newer one runs it, an older one does not.

    Raises `StepError` where neither is to be had.
    """
    path, version = machine_node(run)
    there = numbers(version)[0] if version else 0
    if there >= major:
        if there > major and told:
            run.say(f"The action asks for node {major}; the machine's {version} is used.")
        return path
    if found := _fetched(run, str(major)):
        return found[0]
    have = f"has node {version}" if version else "has no node"
    raise StepError(
        f"The action needs node {major}, this machine {have}, and npm could not fetch it: install node {major} on this "
        "machine (on Debian: apt-get install nodejs npm; WINDLASS_SANDBOX_PATHS names further directories for jobs)"
    )


class SetupNode(BuiltIn):
    """A node of the version, and npm's settings for a registry."""

    names = ("actions/setup-node",)
    about = "Puts a node of the version on PATH: the machine's own, or the one that npm's registry has."
    inputs = (
        Input("node-version", "a version or range, lts/NAME; found on the machine or fetched by npm"),
        Input("node-version-file", ".nvmrc, .node-version, .tool-versions or package.json"),
        Input("check-latest", "a node on the machine within the range is used", "false", honour="warn"),
        Input("architecture", "only the machine's own", honour="error", fine=("x64", "arm64")),
        Input("cache", _SHARED, honour="yes"),
        Input("cache-dependency-path", _SHARED, honour="yes"),
        Input("package-manager-cache", _SHARED, "true", honour="yes"),
        Input("registry-url", "writes an .npmrc that reads NODE_AUTH_TOKEN"),
        Input("scope", "which packages that registry is for"),
        Input("always-auth", "whether that .npmrc says so", "false"),
        Input("token", _UNUSED, honour="yes"),
        Input("mirror", _UNUSED, honour="warn"),
        Input("mirror-token", _UNUSED, honour="yes"),
    )
    outputs = MappingProxyType(
        {
            "node-version": "the version",
            "cache-hit": "true: the cache is always there",
            "node-path": "the program",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Find it, and write the settings."""
        wanted = run.text("node-version")
        if not wanted and (text := reading.named(run, "node-version-file")):
            wanted = reading.node_version(run.text("node-version-file"), text)
            if not wanted:
                raise StepError(f"{run.text('node-version-file')} does not say which node is wanted")
        path, version = find_node(run, wanted)
        if path != machine_node(run)[0]:
            run.add_path(path.rpartition("/")[0])
        run.output("node-version", f"v{version}")
        run.output("node-path", path)
        run.output("cache-hit", "true")
        run.say(f"node {version} ({path})")
        if run.text("registry-url") or run.text("scope"):
            _registry(run)


def npmrc(registry: str, scope: str, *, always_auth: bool) -> str:
    """Return the `.npmrc` for a registry; the token is read from the environment. Pure."""
    parts = urlsplit(registry)
    place = f"{parts.netloc}{parts.path.rstrip('/')}/"
    name = f"{scope.lower()}:registry" if scope else "registry"
    auth = f"always-auth={str(always_auth).lower()}\n"
    return f"//{place}:_authToken=${{NODE_AUTH_TOKEN}}\n{name}={parts.scheme}://{place}\n{auth}"


def _registry(run: ActionRun) -> None:
    registry = (
        run.text("registry-url") or run.capture(["npm", "config", "get", "registry"], check=False).strip()
    )
    if urlsplit(registry).scheme not in {"http", "https"}:
        raise StepError(
            f"input registry-url: {registry!r} is not an address; give one that begins with https://"
        )
    scope = run.text("scope")
    if not scope and urlsplit(registry).hostname == "npm.pkg.github.com":
        scope = str(run.github["repository_owner"])
    scope = f"@{scope.removeprefix('@')}" if scope else ""
    path = f"{run.state.paths.temp.inside}/.npmrc"
    text = npmrc(registry, scope, always_auth=run.flag("always-auth"))
    run.run(["sh", "-c", 'cat > "$1"', "sh", path], source=text.encode(), quiet=True)
    run.set_env("NPM_CONFIG_USERCONFIG", path)
    run.set_env("NODE_AUTH_TOKEN", run.env.get("NODE_AUTH_TOKEN") or _PLACEHOLDER)
