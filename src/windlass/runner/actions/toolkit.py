"""What GitHub's toolkit finds in the environment of an action: where the server's services are, and a token."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.workflow.jobs import JobSpec

ALIAS = "windlass.localhost"
"""The toolkit takes a server of any other name for one that has neither artifacts nor caches."""
_HOURS = 24


def runtime_token(spec: JobSpec, token: str, now: float | None = None) -> str:
    """Return the job's token in the form of a JSON Web Token, out of which the toolkit reads run and job. Pure."""
    began = int(time.time() if now is None else now)
    claims = {
        "scp": f"Actions.Results:{spec.run}:{spec.id}",
        "iat": began,
        "nbf": began - 60,
        "exp": began + _HOURS * 3600,
    }
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.{token}"


def variables(spec: JobSpec, token: str) -> dict[str, str]:
    """Return what JavaScript and Docker actions find besides what every step does. Pure but for the time."""
    toolkit = f"{spec.server_url}/_jobs/toolkit/"
    return {
        "ACTIONS_RUNTIME_TOKEN": runtime_token(spec, token),
        "ACTIONS_RUNTIME_URL": toolkit,
        "ACTIONS_CACHE_URL": toolkit,
        "ACTIONS_RESULTS_URL": f"{spec.server_url}/",
        "ACTIONS_CACHE_SERVICE_V2": "true",
        **identity_variables(spec, token),
    }


def identity_variables(spec: JobSpec, token: str) -> dict[str, str]:
    """Return where identity tokens are had: only where the job's permissions have `id-token: write`."""
    if spec.permissions.get("id-token") != "write":
        return {}
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{spec.server_url}/_jobs/oidc/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": runtime_token(spec, token),
    }


def under_alias(spec: JobSpec, env: Mapping[str, str]) -> dict[str, str]:
    """Return variables that give the server a name which the toolkit's artifacts and caches work with.

    Browsers know that the name means this machine; git is told so. A server that listens elsewhere keeps its own
    name in links by `GITHUB_API_URL` only.
    """
    parts = urlsplit(spec.server_url)
    alias = f"{parts.scheme}://{ALIAS}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    count = int(env.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GITHUB_SERVER_URL": alias,
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"url.{spec.server_url}/.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": f"{alias}/",
    }


def _part(data: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()
