"""How each forge's REST API wants to be spoken to. Pure: requests as data."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from windlass.repos.forges.records import Remote
    from windlass.repos.forges.remotes import Credential

STATES = {
    "github": {},
    "gitea": {},
    "gitlab": {"failure": "failed", "error": "failed", "pending": "running"},
    "bitbucket": {"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED", "error": "FAILED"},
}
MAX_DESCRIPTION = 140
MAX_KEY = 40


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be said of a commit. `state` is GitHub's: `pending`, `success`, `failure`, `error`."""

    repository: str
    sha: str
    context: str
    state: str
    description: str
    url: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `headers` hold the credential: never to be logged."""

    method: str
    url: str
    json: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def speaks(remote: Remote) -> bool:
    """Whether statuses can be told there."""
    return bool(remote.api) and remote.forge != "git" and remote.credential is not None


def _headers(forge: str, credential: Credential) -> dict[str, str]:
    user, password = credential
    agent = {"User-Agent": "windlass", "Accept": "application/json"}
    if forge == "gitlab":
        return {**agent, "PRIVATE-TOKEN": password}
    if forge == "gitea":
        return {**agent, "Authorization": f"token {password}"}
    if forge == "bitbucket" and user != "x-token-auth":
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {**agent, "Authorization": f"Basic {basic}"}
    accept = {"Accept": "application/vnd.github+json"} if forge == "github" else {}
    return {**agent, "Authorization": f"Bearer {password}", **accept}


def status_request(remote: Remote, standing: Standing, credential: Credential) -> Request:
    """Return the request that sets a commit's status."""
    forge, api, sha = remote.forge, remote.api, standing.sha
    name = quote(remote.full_name, safe="/")
    state = STATES.get(forge, STATES["bitbucket"]).get(standing.state, standing.state)
    description = standing.description[:MAX_DESCRIPTION]
    said = {"target_url": standing.url, "description": description, "state": state}
    if forge in {"github", "gitea"}:
        where, body = f"/repos/{name}/statuses/{sha}", {**said, "context": standing.context}
    elif forge == "gitlab":
        where = f"/projects/{quote(remote.full_name, safe='')}/statuses/{sha}"
        body = {**said, "name": standing.context}
    else:
        cloud = f"/repositories/{name}/commit/{sha}/statuses/build"
        where = cloud if forge == "bitbucket" else f"/build-status/1.0/commits/{sha}"
        told = {"url": standing.url, "description": description, "state": state, "name": standing.context}
        body = {**told, "key": standing.context[-MAX_KEY:]}
    return Request("POST", f"{api}{where}", body, _headers(forge, credential))


def refs_request(remote: Remote, folder: str, credential: Credential, etag: str) -> Request:
    """Return GitHub's question for the refs below `heads` or `tags`, answered by 304 while they stand as they were."""
    name = quote(remote.full_name, safe="/")
    asked = {"If-None-Match": etag} if etag else {}
    headers = {**_headers(remote.forge, credential), **asked}
    return Request("GET", f"{remote.api}/repos/{name}/git/matching-refs/{folder}", None, headers)


def already_said(forge: str, status: int, text: str) -> bool:
    """Whether a refusal means that the forge knows this status already (GitLab says so with 400)."""
    return forge == "gitlab" and status == 400 and "Cannot transition status" in text
