"""The hooks of a push: pre-receive may refuse it, post-receive reports it to a socket.

Each is one script for all repositories, written anew at each start. pre-receive decides by what the server put
into its environment. post-receive sends what git told it, as fields
that end in NUL (no value from outside can hold one): session, repository folder, number of push options, the
options, then git's lines `BEFORE AFTER REF`. What the server answers until it closes goes to the terminal of the
person who pushed. Whatever goes wrong, the push stands: refs are compared with the record again.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from windlass.repos.errors import ReposError
from windlass.repos.names import ODD_IN_REF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

log = structlog.get_logger()

MAX_REPORT = 16 << 20
MAX_OPTIONS = 32
MAX_OPTION = 1024
MAX_SOCKET_PATH = 100  # sun_path is 104 bytes on macOS, 108 on Linux
LINE = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (refs/[^\x00-\x20\x7f]+)")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x80-\x9f]")

SHELL = """#!/bin/sh
# Written by Windlass at each start; changes are lost. Reports a push, and shows what the server says.
exec {python} -I -S -E {script}
"""

# Most pushes have nothing to ask for, and then no Python starts. Names beyond ASCII are looked at by Python.
GUARD_SHELL = """#!/bin/sh
# Written by Windlass at each start; changes are lost. Refuses pushes that the rules of a branch forbid.
if [ "${{GIT_PUSH_OPTION_COUNT:-0}}" != 0 ] || [ -n "$WINDLASS_RULES" ]; then
    exec {python} -I -S -E {script}
fi
LC_ALL=C
while read -r before after ref; do
    case "$ref" in *[!!-~]*)
        {{ printf '%s %s %s\\n' "$before" "$after" "$ref"; exec cat; }} | {python} -I -S -E {script}
        exit
    esac
done
"""

GUARD_SCRIPT = '''"""Written by Windlass at each start; changes are lost."""
import posix
import sys

MAX_OPTIONS = {max_options}
MAX_OPTION = {max_option}
ODD = {odd}

def refuse_options(env):
    count = int(env.get(b"GIT_PUSH_OPTION_COUNT", b"0"))
    if count > MAX_OPTIONS:
        yield "A push may have at most %d push options." % MAX_OPTIONS
        return
    for number in range(count):
        option = env.get(b"GIT_PUSH_OPTION_%d" % number, b"")
        if len(option) > MAX_OPTION:
            yield "Push option %d has more than %d bytes." % (number + 1, MAX_OPTION)
        elif any(letter < 32 or letter == 127 for letter in option):
            yield "Push option %d has a line break or another control character." % (number + 1)

def refuse_refs(rules, data):
    import re
    from fnmatch import fnmatchcase

    for line in data.split("\\n")[:-1]:
        _, after, ref = line.split(" ", 2)
        if re.search(ODD, ref):
            yield "%a is no name for a ref here: it must be UTF-8, without line breaks and control characters." % ref
            continue
        for kind, pattern in rules:
            if kind == "follows":
                yield "This repository follows %s: push there." % pattern
                return
            if not ref.startswith("refs/heads/") or not fnmatchcase(ref[11:], pattern):
                continue
            if not after.strip("0"):
                yield "%s is protected (%s): it is not deleted." % (ref[11:], pattern)
            elif kind == "closed":
                yield "%s is protected (%s): push another branch, and `windlass pr create`." % (ref[11:], pattern)

def main():
    env = posix.environ
    found = list(refuse_options(env))
    rules = env.get(b"WINDLASS_RULES", b"").decode("utf-8", "surrogateescape")
    data = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    found += refuse_refs([line.split(" ", 1) for line in rules.split("\\n") if line], data)
    for text in dict.fromkeys(found[:20]):
        posix.write(2, text.encode("utf-8", "replace") + b"\\n")
    posix._exit(1 if found else 0)

main()
'''

# Only built-in modules: it starts in 12 ms.
SCRIPT = '''"""Written by Windlass at each start; changes are lost."""
import posix

def main():
    import _socket

    env = posix.environ
    count = int(env.get(b"GIT_PUSH_OPTION_COUNT", b"0"))
    options = [env.get(b"GIT_PUSH_OPTION_%d" % i, b"") for i in range(count)]
    head = [env[b"WINDLASS_SESSION"], posix.getcwdb(), b"%d" % count, *options]
    report = b"".join(field + b"\\0" for field in head)
    while chunk := posix.read(0, 65536):
        report += chunk
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(env[b"WINDLASS_HOOKS"])
    server.sendall(report)
    server.shutdown(_socket.SHUT_WR)
    while chunk := server.recv(65536):
        while chunk:
            chunk = chunk[posix.write(1, chunk):]

try:
    main()
except Exception:
    pass
'''


@dataclass(frozen=True, slots=True)
class Report:
    """What the hook said."""

    session: str
    folder: str
    options: tuple[str, ...]
    updates: tuple[tuple[str, str, str], ...]
    """Before, after and ref of each update."""


def parse_report(data: bytes) -> Report:
    """Parse a hook's report; what is malformed raises ValueError. Options with control characters are dropped."""
    session, folder, count, rest = data.split(b"\0", 3)
    fields = rest.split(b"\0", int(count))
    if len(fields) != int(count) + 1:
        raise ValueError("fewer push options than announced")
    options = [option.decode(errors="replace") for option in fields[:-1] if len(option) <= MAX_OPTION]
    lines = fields[-1].decode(errors="surrogateescape").split("\n")
    found = [LINE.fullmatch(line) for line in lines if line]
    if not all(found):
        raise ValueError("a line that is no ref update")
    updates = tuple((m[1], m[2], m[3]) for m in found if m and m[1] != m[2])
    clean = tuple(option for option in options if not CONTROL.search(option))[:MAX_OPTIONS]
    return Report(session.decode(), folder.decode(errors="surrogateescape"), clean, updates)


def terminal_line(text: str) -> bytes:
    """Return a line as it may go to a terminal: no control characters, no escapes, one line, 1000 characters."""
    return CONTROL.sub("", text)[:1000].encode(errors="replace") + b"\n"


def install(folder: Path) -> Path:
    """Write the hooks into `folder`, to be used as `core.hooksPath`."""
    folder.mkdir(parents=True, exist_ok=True)
    guard = GUARD_SCRIPT.replace("{max_options}", str(MAX_OPTIONS)).replace("{max_option}", str(MAX_OPTION))
    guard = guard.replace("{odd}", ascii(ODD_IN_REF.pattern))
    _write(folder, "pre-receive", GUARD_SHELL, guard)
    _write(folder, "post-receive", SHELL, SCRIPT)
    return folder


def _write(folder: Path, name: str, shell: str, script: str) -> None:
    file, hook = folder / f"{name.replace('-', '_')}.py", folder / name
    shell = shell.format(python=shlex.quote(sys.executable), script=shlex.quote(str(file.absolute())))
    for path, text, mode in ((file, script, 0o644), (hook, shell, 0o755)):
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        fresh.rename(path)


class HookSocket:
    """Listens for hooks. `handle` gets each report and a stream to the terminal; when it returns, the hook ends."""

    def __init__(self, path: Path, handle: Callable[[Report, asyncio.StreamWriter], Awaitable[None]]) -> None:
        if len(str(path.absolute()).encode()) > MAX_SOCKET_PATH:
            raise ReposError(
                f"The socket {path} has a name of more than {MAX_SOCKET_PATH} bytes, which no unix socket may "
                "have. Choose a data directory with a shorter path."
            )
        self.path = path.absolute()
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, in place of a socket that a dead server left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=self.path, limit=MAX_REPORT)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening; hooks that wait see the end of the stream."""
        if self._server:
            self._server.close()
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await asyncio.wait_for(reader.read(-1), timeout=60)
            await self._handle(parse_report(data), writer)
        except (ConnectionError, TimeoutError):
            pass  # the hook is gone, and with it the person who pushed
        except Exception:  # a push stands, whatever we make of it
            log.exception("a push could not be reported")
        finally:
            writer.close()
