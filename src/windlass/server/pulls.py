"""Pull requests and releases for the web: plain data in and out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from windlass.repos import RepositoryNotFoundError
from windlass.repos.pulls import Protection, public

if TYPE_CHECKING:
    import builtins

    from windlass.identity import Principal
    from windlass.repos.pulls import Protections, Pull, Pulls
    from windlass.repos.releases import Releases


class PullDesk:
    """`web.PullRequests` over `repos.pulls`."""

    def __init__(self, pulls: Pulls, protections: Protections, releases: Releases, url: str) -> None:
        self._pulls = pulls
        self._releases = releases
        self._protections = protections
        self._url = url

    def _json(self, pull: Pull) -> dict[str, Any]:
        return {**public(pull), "url": f"{self._url}/{pull.repository}/pull/{pull.number}"}

    async def list(self, repo: str, who: Principal, **where: Any) -> builtins.list[dict[str, Any]]:
        """List them."""
        return [self._json(pull) for pull in await self._pulls.list(repo, principal=who, **where)]

    async def create(self, repo: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Open one."""
        return self._json(await self._pulls.create(repo, principal=who, **what))

    async def show(self, repo: str, number: int, who: Principal) -> dict[str, Any]:
        """Show one whole."""
        return (await self._pulls.show(repo, number, principal=who)).as_json()

    async def edit(self, repo: str, number: int, who: Principal, **what: Any) -> dict[str, Any]:
        """Open it again, change it, close it: in this order, so that any of them go together."""
        state = what.pop("state", None)
        if state == "open":
            pull = await self._pulls.reopen(repo, number, principal=who)
        if what or state is None:
            pull = await self._pulls.edit(repo, number, principal=who, **what)
        if state == "closed":
            pull = await self._pulls.close(repo, number, principal=who)
        return self._json(pull)

    async def merge(self, repo: str, number: int, who: Principal, **how: Any) -> dict[str, Any]:
        """Merge it."""
        return self._json(await self._pulls.merge(repo, number, principal=who, **how))

    async def approve(self, repo: str, number: int, who: Principal, *, sha: str | None) -> dict[str, Any]:
        """Approve its head."""
        return self._json(await self._pulls.approve(repo, number, principal=who, sha=sha))

    async def rules(self, repo: str, who: Principal) -> builtins.list[dict[str, Any]]:
        """List the rules of its branches."""
        if not who.may("repo:read", repo):
            raise RepositoryNotFoundError(f"No repository {repo} that {who.name} may read.")
        return [asdict(rule) for rule in await self._protections.list(repo)]

    async def protect(self, repo: str, who: Principal, **rule: Any) -> None:
        """Keep a rule."""
        checks = tuple(rule.pop("checks"))
        await self._protections.set(repo, Protection(checks=checks, **rule), actor=who.name)

    async def releases(self, repo: str, who: Principal, *, limit: int) -> builtins.list[dict[str, Any]]:
        """List releases."""
        return [asdict(found) for found in await self._releases.list(repo, principal=who, limit=limit)]

    async def release(self, repo: str, tag: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Make a release."""
        return asdict(await self._releases.create(repo, tag, principal=who, **what))

    async def change_release(self, repo: str, tag: str, who: Principal, **what: Any) -> dict[str, Any]:
        """Change a release."""
        return asdict(await self._releases.change(repo, tag, principal=who, **what))

    async def delete_release(self, repo: str, tag: str, who: Principal) -> None:
        """Delete a release."""
        await self._releases.delete(repo, tag, principal=who)

    async def unprotect(self, repo: str, who: Principal, pattern: str) -> None:
        """Drop a rule."""
        await self._protections.remove(repo, pattern, actor=who.name)
