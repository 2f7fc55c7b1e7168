"""The demo's independent client: a steady load, and a record of every answer.

`python -m windlass.cli.demonstration.load URL --rate 350` sends GETs, half of them on kept-alive connections and
half on new ones, and prints one JSON line for each tenth of a second: `{"at", "answers", "bad", "slowest", "why"}`.
Every answer counts: a status outside 2xx, a reset, a closed connection or a time-out is bad, and nothing is retried.
It knows nothing of Windlass and uses nothing but sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SLOT = 0.1
WORKERS = 16
TIMEOUT = 5.0
LENGTH = b"content-length:"


@dataclass
class Tally:
    """What happened in one tenth of a second."""

    answers: int = 0
    slowest: float = 0.0
    why: list[str] = field(default_factory=list)


class Answer(asyncio.Protocol):
    """One connection: reads one answer of known length at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._waiting: asyncio.Future[int] | None = None
        self.last = False
        """Whether the server said that it closes after this answer (RFC 9112, 9.6)."""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the future is the status of its answer."""
        self._received = b""
        self._waiting = asyncio.get_running_loop().create_future()
        if self.transport is None or self.transport.is_closing():
            self._waiting.set_exception(ConnectionResetError("closed between two requests"))
        else:
            self.transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        """Take what came; done when the whole body is there."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._waiting is None or self._waiting.done():
            return
        lowered = head.lower()
        at = lowered.find(LENGTH)
        if at < 0:
            self._waiting.set_exception(ValueError("an answer without a length"))
            return
        if len(body) >= int(lowered[at + len(LENGTH) :].split(b"\r\n", 1)[0]):
            self.last = b"\r\nconnection: close" in lowered
            self._waiting.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to whoever waits for an answer."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("closed before the answer was whole"))


class Load:
    """Paced requests from a few workers; worker n keeps its connection if n is even."""

    def __init__(self, url: str, rate: float) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        line = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self.keep = f"{line}\r\n".encode()
        self.close = f"{line}Connection: close\r\n\r\n".encode()
        self.interval = WORKERS / rate
        self.tallies: dict[int, Tally] = {}

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._worker(number))
            group.create_task(self._report())

    async def _worker(self, number: int) -> None:
        keep = number % 2 == 0
        due = time.monotonic() + self.interval * number / WORKERS
        connection: Answer | None = None
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self.interval, time.monotonic() - 1)
            begun = time.monotonic()
            problem = ""
            try:
                async with asyncio.timeout(TIMEOUT):
                    connection = connection or await self._connect()
                    status = await connection.ask(self.keep if keep else self.close)
                    problem = "" if 200 <= status < 300 else f"status {status}"
            except TimeoutError:
                problem = f"no answer within {TIMEOUT:g} s"
            except (OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
            if connection and connection.transport and (problem or not keep or connection.last):
                connection.transport.close()
                connection = None
            self._note(time.monotonic() - begun, problem)

    async def _connect(self) -> Answer:
        _, made = await asyncio.get_running_loop().create_connection(Answer, self.host, self.port)
        return made

    def _note(self, seconds: float, problem: str) -> None:
        tally = self.tallies.setdefault(int(time.time() / SLOT), Tally())
        tally.answers += 1
        tally.slowest = max(tally.slowest, seconds)
        if problem:
            tally.why.append(problem)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(SLOT)
            now = int(time.time() / SLOT)
            for slot in sorted(slot for slot in self.tallies if slot < now):
                tally = self.tallies.pop(slot)
                row = {
                    "at": slot * SLOT,
                    "answers": tally.answers,
                    "bad": len(tally.why),
                    "slowest": round(tally.slowest, 4),
                    "why": tally.why[:3],
                }
                sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def main() -> None:
    """Run until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=350, help="requests a second")
    options = parser.parse_args()
    try:
        asyncio.run(Load(options.url, options.rate).run())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
