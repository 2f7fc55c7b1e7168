"""The remotes of hosted repositories in the store; what is secret of them is sealed."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from windlass.repos import commands
from windlass.repos.errors import BadNameError, ReposError
from windlass.repos.forges.records import FORGES, MAX_POLL, MIN_POLL, Remote, guess_forge
from windlass.repos.importing import check_source
from windlass.repos.parsing import parse_refs
from windlass.repos.process import run

if TYPE_CHECKING:
    import builtins

    from windlass.identity import Secrets
    from windlass.repos.repositories import Repositories
    from windlass.store import Store, Transaction

MAX_SECRET = 1024
Credential = tuple[str, str]
"""User and password."""


class Remotes:
    """Where repositories come from. Told in the ledger: `repository.remote`."""

    def __init__(self, store: Store, repositories: Repositories, secrets: Secrets) -> None:
        self._store = store
        self._repositories = repositories
        self._secrets = secrets

    async def get(self, repo: str) -> Remote | None:
        """Return the remote of a repository."""
        row = await self._store.one("remotes.get", repository=repo)
        return Remote.of(row) if row else None

    async def list(self) -> builtins.list[Remote]:
        """Return all remotes."""
        return [Remote.of(row) for row in await self._store.read("remotes.list")]

    async def due(self) -> builtins.list[Remote]:
        """Return all that are looked at now and then, the next first."""
        return [Remote.of(row) for row in await self._store.read("remotes.due")]

    async def _seal(self, repo: str, what: str, value: str) -> str:
        sealed = await self._secrets.seal(value.encode(), context=f"remote\0{repo}\0{what}".encode())
        return base64.b64encode(sealed).decode()

    async def _unseal(self, repo: str, what: str, sealed: str) -> str:
        opened = base64.b64decode(sealed)
        return (await self._secrets.unseal(opened, context=f"remote\0{repo}\0{what}".encode())).decode()

    async def keep(
        self,
        repo: str,
        url: str,
        *,
        credential: Credential | None = None,
        poll: float | None = None,
        forge: str | None = None,
        api: str | None = None,
        actor: str = "windlass",
    ) -> Remote:
        """Keep where a repository comes from. What is there now counts as agreed upon with that place."""
        url, found = check_source(url)
        credential = credential or found
        check_poll(poll)
        if forge is not None and forge not in FORGES:
            raise BadNameError(f"{forge[:100]!r} is no forge: write one of {', '.join(FORGES)}.")
        if api is not None:
            check_source(api)
        kind, address = guess_forge(url, forge, api)
        sealed = await self._seal(repo, "credential", json.dumps(credential)) if credential else None
        await self._agree(repo)
        row: dict[str, Any] = {"repository": repo, "url": url, "forge": kind, "api": address.rstrip("/")}

        def work(tx: Transaction) -> None:
            tx.run(
                "remotes.keep",
                **row,
                credential=sealed,
                poll=poll,
                next_at=None if poll is None else time.time(),
            )
            tx.record("repository.remote", f"repo/{repo}", actor=actor, **row, poll=poll)

        await self._store.transact(work)
        return Remote.of(await self._store.one("remotes.get", repository=repo) or {})

    async def _agree(self, repo: str) -> None:
        """Set `refs/agreed/*` to what the branches and tags are."""
        path = self._repositories.path(repo)
        _, output = await run(commands.refs(path))
        found = parse_refs(output)
        lines = [f"update refs/agreed/{ref.removeprefix('refs/')}\0{sha}\0\0" for ref, sha in found.items()]
        await run(commands.update_refs(path), stdin="".join(lines).encode())

    async def credential(self, remote: Remote) -> Credential | None:
        """Open a remote's user and password."""
        if remote.credential is None:
            return None
        user, password = json.loads(await self._unseal(remote.repository, "credential", remote.credential))
        return user, password

    async def secret(self, remote: Remote) -> str | None:
        """Open a remote's webhook secret."""
        if remote.secret is None:
            return None
        return await self._unseal(remote.repository, "secret", remote.secret)

    async def decoy(self) -> str:
        """Return a sealed value whose opening takes as long as that of a secret."""
        return await self._seal("", "secret", secrets.token_hex(20))

    async def open_decoy(self, sealed: str) -> None:
        """Open it."""
        await self._unseal("", "secret", sealed)

    async def arrived(self, repo: str) -> builtins.list[dict[str, Any]]:
        """Return the webhooks that came last, the newest first: what became of them."""
        return await self._store.read("remotes.deliveries", repository=repo)

    async def told(self, repo: str) -> builtins.list[dict[str, Any]]:
        """Return the statuses that the forge was told, or did not take."""
        return await self._store.read("remotes.told", repository=repo)

    async def set_secret(self, repo: str, secret: str | None, *, actor: str) -> str:
        """Keep the secret that webhooks of a repository are signed with, and return it; None makes one."""
        await self._repositories.get(repo)
        secret = secret if secret is not None else secrets.token_hex(20)
        if not 16 <= len(secret) <= MAX_SECRET or not secret.isprintable():
            raise BadNameError(f"A webhook's secret is one line of 16 to {MAX_SECRET} characters.")
        sealed = await self._seal(repo, "secret", secret)

        def work(tx: Transaction) -> None:
            tx.run("remotes.set_secret", repository=repo, secret=sealed)
            tx.record("repository.webhook", f"repo/{repo}", actor=actor)

        await self._store.transact(work)
        return secret

    async def set_poll(self, repo: str, poll: float | None, *, actor: str) -> None:
        """Look every `poll` seconds, or (None) only when a webhook asks."""
        check_poll(poll)

        def work(tx: Transaction) -> None:
            when = None if poll is None else time.time()
            if not tx.run("remotes.set_poll", repository=repo, poll=poll, next_at=when):
                raise ReposError(
                    f"{repo} was not imported from anywhere, so that there is nothing to look at."
                )
            tx.record("repository.remote", f"repo/{repo}", actor=actor, poll=poll)

        await self._store.transact(work)

    async def forget(self, repo: str, *, actor: str) -> None:
        """Follow no longer: remote, credential, webhook and what was told are gone, and people push here again."""

        def work(tx: Transaction) -> None:
            for query in ("remotes.forget", "remotes.forget_deliveries", "remotes.forget_told"):
                tx.run(query, repository=repo)
            tx.record("repository.remote", f"repo/{repo}", actor=actor, url="")

        await self._repositories.get(repo)
        await self._store.transact(work)


def check_poll(poll: float | None) -> None:
    """Raise `BadNameError` for what is no sensible pause between two looks."""
    if poll is not None and not MIN_POLL <= poll <= MAX_POLL:
        raise BadNameError(f"Look every {MIN_POLL:.0f} to {MAX_POLL:.0f} seconds, not every {poll:g}.")
