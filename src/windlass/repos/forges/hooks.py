"""The address that forges send their webhooks to.

`POST /hooks/OWNER/NAME`, and `POST /hooks/OWNER/NAME/dispatch/EVENT_TYPE` for anything else. Nobody signs in here:
the signature says who sends. What is verified is written down and answered; the work follows.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from windlass.repos.events import NewEvent, write_event
from windlass.repos.forges.signatures import digest_of, verify
from windlass.repos.forges.translate import work_of
from windlass.repos.payloads import event_payload
from windlass.repos.webhooks import WebhookError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from windlass.repos.forges.remotes import Remotes
    from windlass.repos.forges.signatures import Signed
    from windlass.repos.forges.translate import Work
    from windlass.repos.repositories import Repositories
    from windlass.store import Store, Transaction

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

PATH = re.compile(r"/hooks/([^/]{1,64}/[^/]{1,128})(?:/dispatch/([A-Za-z0-9._-]{1,100}))?/?")
MAX_BODY = 25 << 20
"""Bytes, as GitHub's own limit."""
MAX_DISPATCH = 64 << 10
"""Bytes of a generic webhook's body, as GitHub's limit of a `client_payload`."""
BODY_SECONDS = 30.0
READERS = 4
"""Bodies that are read at once: nobody has shown who they are until the whole body is there."""
PATIENCE = 10.0
REFUSED = "No webhook of this address has this signature."

log = structlog.get_logger()


class _AnswerError(Exception):
    """The request is answered with this."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is for us. `event` is the type of a generic webhook."""

    repository: str
    event: str
    headers: dict[str, str]


class WebhookHTTP:
    """ASGI application for `/hooks/…`.

    An address of no repository, one without a secret, and a bad signature get the same answer after the same work.
    Answers: 202 written down; 200 seen already, or a ping; 401; 405; 408; 413; 422; 503 with `Retry-After`.
    """

    def __init__(self, store: Store, repositories: Repositories, remotes: Remotes, *, url: str) -> None:
        self._store = store
        self._repositories = repositories
        self._remotes = remotes
        self._url = url
        self._readers = anyio.Semaphore(READERS)
        self._decoy = ""

    @staticmethod
    def serves(path: str) -> bool:
        """Tell whether a request's path is one of ours."""
        return path.startswith("/hooks/")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            call = _parse(scope)
            status, answer = await self._serve(call, receive)
        except _AnswerError as error:
            status, answer = error.status, {"detail": error.text}
        await _send(send, status, answer)

    async def _serve(self, call: Call, receive: Receive) -> tuple[int, dict[str, Any]]:
        limit = MAX_DISPATCH if call.event else MAX_BODY
        if int(call.headers.get("content-length") or 0) > limit:
            raise _AnswerError(413, f"The body has more than {limit} bytes.")
        try:
            with anyio.fail_after(PATIENCE):
                await self._readers.acquire()
        except TimeoutError:
            raise _AnswerError(503, "Too many webhooks arrive at once. Send it again.") from None
        try:
            body = await _read(receive, limit)
            signed = await self._verify(call, body)
        finally:
            self._readers.release()
        take = self._dispatch if call.event else self._take
        return await take(call, body, signed)

    async def _verify(self, call: Call, body: bytes) -> Signed:
        """Return what the signature says; the same work is done whether there is such a repository or not."""
        remote = await self._remotes.get(call.repository)
        if remote is not None and remote.secret is not None:
            secret = await self._remotes.secret(remote)
        else:
            self._decoy = self._decoy or await self._remotes.decoy()
            await self._remotes.open_decoy(self._decoy)
            secret = None
        signed = verify(call.headers, body, secret, now=time.time(), bearer=bool(call.event))
        if signed is None:
            log.info("webhook refused", path=call.repository)
            raise _AnswerError(401, REFUSED)
        return signed

    async def _take(self, call: Call, body: bytes, signed: Signed) -> tuple[int, dict[str, Any]]:
        """Write a forge's webhook down, once."""
        try:
            work = work_of(body)
        except WebhookError as error:
            return 202, {"status": "ignored", "reason": str(error)}
        if not work:
            return 200, {"status": "pong"}
        remote = await self._remotes.get(call.repository)
        if remote is None or not remote.url:
            why = (
                f"{call.repository} was not imported from anywhere: `windlass repo import` keeps where from."
            )
            return 202, {"status": "ignored", "reason": why}
        return self._told(await self._write_down(call, body, signed, work), signed)

    @staticmethod
    def _told(new: bool, signed: Signed) -> tuple[int, dict[str, Any]]:
        status = "accepted" if new else "already seen"
        return (202 if new else 200), {"status": status, "delivery": signed.delivery}

    async def _write_down(self, call: Call, body: bytes, signed: Signed, work: Work) -> bool:
        repo, now = call.repository, time.time()
        key = {"repository": repo, "delivery": signed.delivery, "digest": _digest(body, signed)}

        def record(tx: Transaction) -> bool:
            if tx.one("remotes.seen", **key) or not tx.run(
                "remotes.add_delivery", **key, work=json.dumps(work), at=now, done_at=None
            ):
                # A copy may still be right about what moved: a look costs little and believes nobody.
                tx.run("remotes.want", repository=repo, at=now)
                return False
            tx.run("remotes.want", repository=repo, at=now)
            kinds = sorted({str(item["kind"]) for item in work})
            tx.record(
                "forge.hook", f"repo/{repo}", actor="forge/webhook", delivery=signed.delivery, kinds=kinds
            )
            return True

        return await self._store.transact(record)

    async def _dispatch(self, call: Call, body: bytes, signed: Signed) -> tuple[int, dict[str, Any]]:
        """Record a `repository_dispatch`, once for each delivery."""
        payload = _client_payload(body)
        repository = await self._repositories.get(call.repository)
        refs = await self._repositories.recorded_refs(call.repository)
        ref = f"refs/heads/{repository.default_branch}"
        if ref not in refs:
            raise _AnswerError(
                422, f"{call.repository} has no commit on {repository.default_branch} to run on."
            )
        who = ("webhook", "forge")
        shown = {"action": call.event, "branch": repository.default_branch, "client_payload": payload}
        once = signed.binds_body or any(name in call.headers for name in ("idempotency-key", "x-request-id"))
        event = NewEvent(
            name="repository_dispatch",
            action=call.event,
            ref=ref,
            sha=refs[ref],
            actor=who[0],
            actor_kind=who[1],
            payload=event_payload(repository, self._url, who, **shown),
        )
        key = {"repository": call.repository, "delivery": signed.delivery, "digest": _digest(body, signed)}
        now = time.time()

        def record(tx: Transaction) -> bool:
            if once and tx.one("remotes.seen", **key):
                return False
            if once:
                tx.run("remotes.add_delivery", **key, work="", at=now, done_at=now)
            return write_event(tx, call.repository, event) is not None

        return self._told(await self._store.transact(record), signed)


def _digest(body: bytes, signed: Signed) -> str:
    """Return what a copy is known by: the signed body, where no signed id tells one delivery from the next."""
    bound = signed.binds_body and not signed.binds_id
    return digest_of(body) if bound else f"delivery:{signed.delivery}"


def _client_payload(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise _AnswerError(422, f"The body is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise _AnswerError(422, "The body is not a JSON object: it becomes github.event.client_payload.")
    return data


def _parse(scope: MutableMapping[str, Any]) -> Call:
    if scope["method"] != "POST":
        raise _AnswerError(405, "Send webhooks with POST.")
    match = PATH.fullmatch(scope["path"])
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise _AnswerError(400, "Content-Length is not a number.")
    return Call(match[1] if match else "", (match[2] if match else "") or "", headers)


async def _read(receive: Receive, limit: int) -> bytes:
    """Read the body up to its limit."""
    chunks: list[bytes] = []
    size = 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _AnswerError(400, "The body ended early.")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _AnswerError(413, f"The body has more than {limit} bytes.")
                chunks.append(chunk)
                more = message.get("more_body", False)
    except TimeoutError:
        raise _AnswerError(408, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    return b"".join(chunks)


async def _send(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(b"retry-after", b"5")] if status == 503 else []
    headers += [(b"connection", b"close")] if status in {408, 413, 503} else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
