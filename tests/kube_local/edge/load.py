"""A paced load: `load.py PORT RATE [PATH]` until its input ends, then JSON of what came back.

Half on fresh connections; half are POSTs, or none where a path is given.
"""

import asyncio
import json
import sys
import time
from collections import Counter

PORT, RATE = int(sys.argv[1]), float(sys.argv[2])
PATH = sys.argv[3].encode() if len(sys.argv) > 3 else b""
LANES = 32
answers: Counter[str] = Counter()
failures: list[str] = []
slowest = [0.0]
over: list[bytes] = []


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
    """Ask once; returns whether the server ends the connection after this answer."""
    if number % 2 and not PATH:
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    else:
        writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % (PATH or b"/x"))
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1]
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    body = await reader.readexactly(length)
    if status == b"200":
        answers[body.decode()] += 1
    else:
        failures.append(f"{time.time():.3f} {status.decode()} {body[:80]!r}")
    return b"connection: close" in head.lower()


async def lane(index: int) -> None:
    begin, gap, number = time.monotonic(), LANES / RATE, 0
    link = None
    while not over:
        now = time.monotonic()
        due = begin + (number + index / LANES) * gap
        if due > now:
            await asyncio.sleep(due - now)
        number += 1
        began = time.monotonic()
        try:
            if link is None:
                link = await asyncio.open_connection("127.0.0.1", PORT)
            if await ask(*link, number):
                link[1].close()
                link = None
        except (OSError, EOFError, ValueError, StopIteration) as error:
            failures.append(f"{time.time():.3f} {'kept' if index % 2 else 'fresh'} {error!r}")
            link = None
        slowest[0] = max(slowest[0], time.monotonic() - began)
        if link is not None and not index % 2:
            link[1].close()
            link = None


async def main() -> None:
    begin = time.monotonic()
    asyncio.get_running_loop().add_reader(0, lambda: over.append(b""))
    await asyncio.gather(*(lane(index) for index in range(LANES)))
    total = sum(answers.values()) + len(failures)
    found = {"total": total, "answers": answers, "failed": len(failures), "failures": failures[:20]}
    sys.stdout.write(json.dumps({**found, "slowest": slowest[0], "seconds": time.monotonic() - begin}))


asyncio.run(main())
