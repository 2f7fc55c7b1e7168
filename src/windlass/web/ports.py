"""What the web needs of rooms that it may not enter; `server` hands them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

    from windlass.delivery import Deliveries
    from windlass.identity import Identity, LoginLinks, Principal, Secrets
    from windlass.pipelines import Pipelines
    from windlass.store import Store


class HostedRepository(Protocol):
    """A repository as the web shows it."""

    @property
    def name(self) -> str: ...  # noqa: D102 see repos.Repository
    @property
    def default_branch(self) -> str: ...  # noqa: D102 see repos.Repository
    @property
    def applications(self) -> str | None: ...  # noqa: D102 see repos.Repository


class Hosting(Protocol):
    """The hosted repositories (`repos.Repositories`). Errors are `repos` errors; `Ports.refusals` maps them."""

    async def create(
        self, name: str, *, default_branch: str = "main", applications: str | None = None
    ) -> HostedRepository:
        """Create an empty repository."""

    async def import_(
        self, source: str, name: str, *, credentials: tuple[str, str] | None = None
    ) -> HostedRepository:
        """Copy a repository from elsewhere."""

    async def get(self, name: str) -> HostedRepository:
        """Return one, or raise."""

    async def list(self) -> Sequence[HostedRepository]:
        """List all."""

    async def delete(self, name: str) -> None:
        """Delete one with its history."""


class Remote(Protocol):
    """Where a repository comes from."""

    @property
    def repository(self) -> str: ...  # noqa: D102 see repos.forges.Remote

    def public(self) -> dict[str, Any]:
        """Return what everybody may know who may read the repository."""


class Remotes(Protocol):
    """Where repositories come from, and their webhooks (`repos.forges.Remotes`)."""

    async def get(self, repo: str) -> Remote | None:
        """Return one."""

    async def list(self) -> Sequence[Remote]:
        """Return all."""

    async def keep(  # noqa: D102 see repos.forges.Remotes
        self,
        repo: str,
        url: str,
        *,
        credential: tuple[str, str] | None,
        poll: float | None,
        forge: str | None,
        api: str | None,
        actor: str,
    ) -> Remote: ...

    async def set_secret(self, repo: str, secret: str | None, *, actor: str) -> str:
        """Keep the secret of its webhooks, or make one."""

    async def set_poll(self, repo: str, poll: float | None, *, actor: str) -> None:
        """Look every so many seconds, or not."""

    async def forget(self, repo: str, *, actor: str) -> None:
        """Follow no longer."""

    async def arrived(self, repo: str) -> builtins.list[dict[str, Any]]:
        """Return the webhooks that came last."""

    async def told(self, repo: str) -> builtins.list[dict[str, Any]]:
        """Return the statuses that the forge was told."""


class PullRequests(Protocol):
    """Pull requests and the rules of branches (`repos.pulls`) as plain data; who asks is judged there."""

    async def list(self, repo: str, who: Principal, **where: Any) -> builtins.list[dict[str, Any]]:
        """List pull requests."""

    async def create(self, repo: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Open one."""

    async def show(self, repo: str, number: int, who: Principal) -> dict[str, Any]:
        """Show one whole."""

    async def edit(self, repo: str, number: int, who: Principal, **what: Any) -> dict[str, Any]:
        """Change one, close it, or open it again."""

    async def merge(self, repo: str, number: int, who: Principal, **how: Any) -> dict[str, Any]:
        """Merge one."""

    async def approve(self, repo: str, number: int, who: Principal, *, sha: str | None) -> dict[str, Any]:
        """Approve the head of one."""

    async def rules(self, repo: str, who: Principal) -> builtins.list[dict[str, Any]]:
        """List the rules of branches."""

    async def protect(self, repo: str, who: Principal, **rule: Any) -> None:
        """Keep a rule."""

    async def unprotect(self, repo: str, who: Principal, pattern: str) -> None:
        """Drop a rule."""

    async def releases(self, repo: str, who: Principal, *, limit: int) -> builtins.list[dict[str, Any]]:
        """List releases."""

    async def release(self, repo: str, tag: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Make a release."""

    async def change_release(self, repo: str, tag: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Change a release, or publish a draft."""

    async def delete_release(self, repo: str, tag: str, who: Principal) -> None:
        """Delete a release."""


class Kubeconfigs(Protocol):
    """Makes kubeconfigs for the cluster."""

    async def kubeconfig(self, principal: Principal, namespace: str, ttl: float) -> str:
        """Return YAML with a token of its own for the principal."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that the pages and the API show or change.

    `refusals` maps exception classes of the rooms below to HTTP status codes: their message is the answer.
    """

    url: str
    store: Store
    identity: Identity
    links: LoginLinks
    secrets: Secrets
    hosting: Hosting
    remotes: Remotes
    pulls: PullRequests
    kubeconfigs: Kubeconfigs
    runs: Pipelines
    deliveries: Deliveries
    refusals: dict[type[Exception], int]
