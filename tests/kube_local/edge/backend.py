"""A tiny HTTP server for tests: says its name, dies at once when asked to. `backend.py NAME` prints its port."""

import asyncio
import os
import signal
import sys


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = sys.argv[1].encode()
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" /poison " in head:
                os._exit(9)
            if b" /slow " in head:
                await asyncio.sleep(0.05)
            if b" /stream " in head:
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for number in range(60):
                    writer.write(
                        b"%x\r\ndata: %s %d\n\n\r\n" % (len(body) + len(str(number)) + 9, body, number)
                    )
                    await writer.drain()
                    await asyncio.sleep(0.05)
                writer.write(b"0\r\n\r\n")
                continue
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            traced = b"leaked" if b"x-windlass-trace" in head.lower() else b""
            answer = body + traced
            writer.write(
                b"HTTP/1.1 200 OK\r\nX-Windlass-Pod: forged\r\nContent-Length: %d\r\n\r\n%s"
                % (len(answer), answer)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


asyncio.run(main())
