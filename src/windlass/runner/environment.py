"""The variables that steps see, as on GitHub's runners; pure."""

from __future__ import annotations

import platform
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from windlass.runner.paths import EVENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.runner.paths import Paths
    from windlass.workflow.jobs import JobSpec

PASSED = frozenset(
    {
        "ALL_PROXY", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "HTTPS_PROXY", "HTTP_PROXY", "LANG",
        "LC_ALL", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ",
        "all_proxy", "http_proxy", "https_proxy", "no_proxy", "npm_config_cafile", "npm_config_registry",
    }
)  # fmt: skip
PASSED_PREFIXES = ("PIP_", "UV_")
NOT_PASSED = frozenset(
    {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "UV_CACHE_DIR", "UV_PROJECT"}
)
_USER_INFO = re.compile(r"://([^/@\s]+:[^/@\s]+)@")
RESERVED_PREFIXES = ("GITHUB_", "RUNNER_")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MACHINES = {"x86_64": "X64", "amd64": "X64", "aarch64": "ARM64", "arm64": "ARM64", "armv7l": "ARM"}
_FROM_CONTEXT = (
    "action", "action_path", "action_ref", "action_repository", "actor", "actor_id", "api_url", "base_ref",
    "event_name", "event_path", "graphql_url", "head_ref", "job", "ref", "ref_name", "ref_protected", "ref_type",
    "repository", "repository_id", "repository_owner", "repository_owner_id", "retention_days", "run_attempt",
    "run_id", "run_number", "server_url", "sha", "triggering_actor", "workflow", "workflow_ref", "workflow_sha",
    "workspace",
)  # fmt: skip


def runner_context(paths: Paths, *, debug: bool) -> dict[str, str]:
    """Return the `runner` context."""
    context = {
        "name": "windlass",
        "os": {"linux": "Linux", "darwin": "macOS"}.get(sys.platform, sys.platform),
        "arch": _MACHINES.get(platform.machine().lower(), platform.machine()),
        "temp": paths.temp.inside,
        "tool_cache": paths.tools.inside,
        "workspace": paths.workspace.inside.rpartition("/")[0],
        "environment": "self-hosted",
    }
    return {**context, "debug": "1"} if debug else context


def github_context(spec: JobSpec, token: str, paths: Paths) -> dict[str, Any]:
    """Return the `github` context of the job: the server's, completed by what only the runner knows."""
    given = dict(spec.contexts.get("github") or {})
    ref = str(given.get("ref") or spec.ref)
    kind, name = "branch", ref.removeprefix("refs/heads/")
    if ref.startswith("refs/tags/"):
        kind, name = "tag", ref.removeprefix("refs/tags/")
    elif ref.startswith("refs/pull/"):
        name = ref.removeprefix("refs/pull/")
    defaults = {
        "repository": spec.repository,
        "repository_owner": spec.repository.partition("/")[0],
        "ref": ref,
        "ref_name": name,
        "ref_type": kind,
        "sha": spec.sha,
        "job": spec.key,
        "run_id": str(spec.run),
        "run_number": str(spec.run),
        "run_attempt": str(spec.attempt),
        "retention_days": "90",
        "workflow": spec.workflow_file,
        "workflow_sha": spec.sha,
        "event": {},
    }
    ours = {
        "token": token,
        "server_url": spec.server_url,
        "api_url": f"{spec.server_url}/api/v3",
        "graphql_url": f"{spec.server_url}/api/graphql",
        "workspace": paths.workspace.inside,
        "event_path": f"{paths.temp.inside}/{EVENT}/event.json",
    }
    return {**defaults, **{key: value for key, value in given.items() if value is not None}, **ours}


def github_variables(context: Mapping[str, Any]) -> dict[str, str]:
    """Return `GITHUB_*` from the context. The token is none of them: a step asks for it by name."""
    made = {"CI": "true", "GITHUB_ACTIONS": "true"}
    for key in _FROM_CONTEXT:
        value = context.get(key)
        made[f"GITHUB_{key.upper()}"] = _text(value)
    return {
        key: value for key, value in made.items() if value or key in {"GITHUB_BASE_REF", "GITHUB_HEAD_REF"}
    }


def runner_variables(context: Mapping[str, str], tracking: str) -> dict[str, str]:
    """Return `RUNNER_*` from the `runner` context."""
    made = {f"RUNNER_{key.upper()}": value for key, value in context.items()}
    return {**made, "RUNNER_TRACKING_ID": tracking}


def passed_on(host: Mapping[str, str]) -> dict[str, str]:
    """Return what steps need of the server's own environment to reach the network: proxies, certificates, indexes."""
    return {
        key: value
        for key, value in host.items()
        if (key in PASSED or key.startswith(PASSED_PREFIXES)) and key not in NOT_PASSED
    }


def credentials_in(variables: Mapping[Any, str]) -> list[str]:
    """Return the credentials that stand in addresses among these values, which logs must not show."""
    found: list[str] = []
    for value in variables.values():
        for user in _USER_INFO.findall(value):
            password = user.partition(":")[2]
            found += dict.fromkeys((user, unquote(user), password, unquote(password)))
    return found


def base(host: Mapping[str, str], paths: Paths, *, isolated: bool, interpreter: str) -> dict[str, str]:
    """Return the environment before anything that the workflow says.

    In the sandbox PATH holds the job's shims, the system's directories and, last, the directory of the
    `interpreter` that Windlass itself runs on, so that there is a `python`.
    """
    tail = [interpreter] if interpreter else []
    extra = [path for path in host.get("WINDLASS_SANDBOX_PATHS", "").split(":") if path]
    path = [*extra, *_SYSTEM_PATH, *tail] if isolated else [host.get("PATH", ":".join(_SYSTEM_PATH)), *tail]
    return {
        "LANG": "C.UTF-8",
        **passed_on(host),
        "PATH": ":".join(dict.fromkeys([paths.bin.inside, *path])),
        "HOME": paths.home.inside,
        "USER": "runner" if isolated else host.get("USER", "root"),
        "SHELL": "/bin/bash",
        "UV_CACHE_DIR": f"{paths.tools.inside}/uv",
        "UV_LINK_MODE": "copy",
        "PIP_CACHE_DIR": f"{paths.tools.inside}/pip",
        "npm_config_cache": f"{paths.tools.inside}/npm",
        "XDG_CONFIG_HOME": f"{paths.home.inside}/.config",
        "GIT_TERMINAL_PROMPT": "0",
        "AGENT_TOOLSDIRECTORY": paths.tools.inside,
        "ImageOS": "linux",
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or isinstance(value, (dict, list)) else str(value)
