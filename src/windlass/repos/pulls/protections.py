"""The protection of branches: what a merge needs, and who may push."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from windlass.repos.errors import BadNameError, ReposError
from windlass.repos.pulls.records import Protection

if TYPE_CHECKING:
    import builtins

    from windlass.repos.repositories import Repositories
    from windlass.store import Store, Transaction

PATTERN = re.compile(r"[^\x00-\x20\x7f~^:\\]{1,255}")
CHECK = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
MAX_CHECKS = 100
MAX_RULES = 100
MAX_APPROVALS = 10


class Protections:
    """The rules of a repository's branches. Changes are told in the ledger: `repository.protected`."""

    def __init__(self, store: Store, repositories: Repositories) -> None:
        self._store = store
        self._repositories = repositories

    async def list(self, repo: str) -> builtins.list[Protection]:
        """Return all rules of a repository."""
        await self._repositories.get(repo)
        return [Protection.of(row) for row in await self._store.read("pulls.protections", repository=repo)]

    async def set(self, repo: str, rule: Protection, *, actor: str) -> None:
        """Keep a rule, in place of the one for the same pattern. `BadNameError` for what makes no sense."""
        existing = await self.list(repo)
        _check(rule)
        if len(existing) >= MAX_RULES and rule.pattern not in {old.pattern for old in existing}:
            raise BadNameError(f"A repository has at most {MAX_RULES} rules.")
        row = {
            "repository": repo,
            "pattern": rule.pattern,
            "checks": json.dumps(rule.checks),
            "all_checks": int(rule.all_checks),
            "approvals": rule.approvals,
            "direct_pushes": int(rule.direct_pushes),
        }

        def work(tx: Transaction) -> None:
            tx.run("pulls.protect", **row)
            tx.record("repository.protected", f"repo/{repo}", actor=actor, **row)

        await self._store.transact(work)

    async def remove(self, repo: str, pattern: str, *, actor: str) -> None:
        """Drop a rule."""

        def work(tx: Transaction) -> None:
            if not tx.run("pulls.unprotect", repository=repo, pattern=pattern):
                raise ReposError(f"{repo} has no rule for {pattern!r}: `windlass repo protections {repo}`.")
            tx.record("repository.unprotected", f"repo/{repo}", actor=actor, pattern=pattern)

        await self._repositories.get(repo)
        await self._store.transact(work)


def _check(rule: Protection) -> None:
    if not PATTERN.fullmatch(rule.pattern):
        raise BadNameError(f"{rule.pattern[:200]!r} is no pattern of branches: write main or release/*.")
    if len(rule.checks) > MAX_CHECKS or not all(CHECK.fullmatch(name) for name in rule.checks):
        raise BadNameError(f"Required checks are at most {MAX_CHECKS} names of one line each.")
    if not 0 <= rule.approvals <= MAX_APPROVALS:
        raise BadNameError(f"0 to {MAX_APPROVALS} approvals can be asked for.")
