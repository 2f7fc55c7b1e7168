"""The runtime token: what the toolkit takes for a JSON Web Token, with the job's own token as its signature.

The toolkit reads the run and the job out of the token's claims (`scp`). It is the runner that writes them; the
server looks at nothing but the last part, so that there is one secret for each job and nothing more to revoke.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.identity.authentication import token_from_headers
from windlass.pipelines.permissions import job_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.identity import Authenticator, Principal


def job_token(token: str) -> str:
    """Return the job's token in a runtime token; any other token stays as it is."""
    return token.rpartition(".")[2] if token.count(".") == 2 else token


async def principal_of(
    authenticator: Authenticator, headers: Iterable[tuple[bytes, bytes]]
) -> Principal | None:
    """Return who asks with this runtime token, None where it is nobody's."""
    token = token_from_headers(headers)
    if not token:
        return None
    return await authenticator.from_headers([(b"authorization", f"Bearer {job_token(token)}".encode())])


def job_behind(who: Principal | None) -> str | None:
    """Return the id of the job whose token it is, None where it is no job's."""
    return job_of(who.name) if who is not None and who.kind == "job" else None
