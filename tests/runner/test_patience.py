"""Built-in actions wait out a restart of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.actions import patience
from windlass.runner.actions.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.conftest import Forge, Server

Answer = tuple[int, str, bytes]


def away(server: Server, monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let the server drop connections, so many, before it answers again; returns what was dropped."""
    dropped: list[str] = []
    answer: Callable[..., Answer] = server.answer

    def one(method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        if len(dropped) < times:
            dropped.append(target)
            raise ConnectionAbortedError
        return answer(method, target, headers, body)

    monkeypatch.setattr(server, "answer", one)
    monkeypatch.setattr(server._http, "handle_error", lambda *_: None)
    return dropped


@pytest.mark.parametrize("inputs", [{}, {"ref": "main"}])
def test_checkout_asks_again(
    host_forge: Forge, server: Server, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Any]
) -> None:
    sha = server.repository("acme/service", {"a": "1"})
    dropped = away(server, monkeypatch, 2)
    ran = host_forge.run({"uses": "actions/checkout@v4", "with": inputs}, {"run": "cat a"}, sha=sha)
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2) == "1\n"
    assert len(dropped) == 2
    assert "The server does not answer; it is asked again" in ran.log(1)


@pytest.mark.parametrize(
    "words",
    [
        "fatal: unable to access 'http://127.0.0.1:1/a/b/': Failed to connect to 127.0.0.1 port 1 after 0 ms",
        "error: RPC failed; curl 56 Recv failure: Connection reset by peer",
        "fatal: unable to access 'http://127.0.0.1:1/a/b/': Empty reply from server",
        "fatal: the remote end hung up unexpectedly",
        "fatal: early EOF",
        "fatal: unable to access 'http://127.0.0.1:1/a/b/': The requested URL returned error: 503",
        'Error: writing blob: Patch "http://127.0.0.1:1/v2/x": dial tcp 127.0.0.1:1: connect: connection refused',
        'Error: writing blob: uploading layer chunked: Patch "http://127.0.0.1:1/v2/x": EOF',
        "Error: writing manifest: uploading manifest 1 to 127.0.0.1:1/a/b: received unexpected HTTP status: 503 Busy",
    ],
)
def test_a_server_that_is_away_is_waited_for_until_the_limit(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAUSE", 0.01)
    said: list[str] = []
    waits = Patience(said.append, limit=0.05)
    count = 0
    while waits.lasts(words):
        count += 1
        assert count < 50
    assert count == len(said) > 1


@pytest.mark.parametrize(
    "words",
    [
        "fatal: couldn't find remote ref refs/heads/none",
        "fatal: Authentication failed for 'http://127.0.0.1:1/a/b/'",
        "fatal: unable to access 'http://127.0.0.1:1/a/b/': The requested URL returned error: 403",
        "Error: writing blob: initiating layer upload to /v2/a/b/blobs/uploads/ in 127.0.0.1:1: denied: not yours",
    ],
)
def test_an_answer_is_an_answer(words: str) -> None:
    said: list[str] = []
    assert not Patience(said.append).lasts(words)
    assert said == []
