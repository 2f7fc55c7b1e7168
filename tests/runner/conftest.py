from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from windlass.runner.bubblewrap import survey
from windlass.runner.errors import SandboxUnavailableError
from windlass.runner.paths import Paths, Shape, lay_out
from windlass.workflow.jobs import JobSecrets, JobSpec, read_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "wl_5f2c9d1ab07e4c6a83d2"
SHA = "0123456789abcdef0123456789abcdef01234567"


def isolated(spec: JobSpec) -> Paths:
    """The directories of the job as it would have them in a sandbox."""
    return lay_out(Path(spec.directory), replace(Shape.of(spec), isolation="bubblewrap"))


def bubblewrap_works() -> bool:
    try:
        survey()
    except SandboxUnavailableError:
        return False
    return True


ISOLATIONS = [
    pytest.param(
        "bubblewrap",
        marks=[
            pytest.mark.integration,
            pytest.mark.skipif(not bubblewrap_works(), reason="no bubblewrap here"),
        ],
    ),
    "host",
]


@pytest.fixture(params=ISOLATIONS)
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Ran:
    """A job that is over, or still running: what its directory says."""

    directory: Path
    pid: int
    started: float = 0.0
    _read: list[dict[str, Any]] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        path = self.directory / "events.jsonl"
        return read_events(path.read_bytes())[0] if path.exists() else []

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["kind"] == kind and all(event[key] == value for key, value in fields.items())
        ]

    def wait(self, kind: str = "job.finished", timeout: float = 60, **fields: Any) -> dict[str, Any]:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if found := self.of(kind, **fields):
                return found[0]
            time.sleep(0.003)
        raise AssertionError(f"no {kind} {fields} in {timeout} s: {self.events} {self.complaints}")

    @property
    def complaints(self) -> str:
        path = self.directory / "runner.log"
        return path.read_text() if path.exists() else ""

    @property
    def conclusion(self) -> str:
        return str(self.wait()["conclusion"])

    @property
    def outputs(self) -> dict[str, str]:
        return dict(self.wait()["outputs"])

    def log(self, step: int = 1) -> str:
        """The log of a step without its times."""
        path = self.directory / "log" / f"{step:03d}.log"
        text = path.read_text() if path.exists() else ""
        return "".join(line.partition(" ")[2] for line in text.splitlines(keepends=True))

    def printed(self, step: int = 1) -> str:
        """What follows the header of a step's log."""
        return self.log(step).partition("##[endgroup]\n")[2]

    def step(self, number: int = 1) -> dict[str, Any]:
        self.wait()
        return self.of("step.finished", step=number)[0]

    @property
    def everything(self) -> str:
        """All that the job left for the server: events and logs."""
        logs = [path.read_text() for path in sorted((self.directory / "log").iterdir())]
        return "".join([(self.directory / "events.jsonl").read_text(), *logs, self.complaints])


class Forge:
    """Starts jobs in a data directory of the test's own, through one fork server."""

    def __init__(self, data: Path, zygote: Path, isolation: str) -> None:
        self.data = data
        self.isolation = isolation
        self.server_url = "http://127.0.0.1:9"
        self.mirrors: dict[str, str] = {}
        self.engine = "fake"
        self._zygote = zygote

    def spec(self, steps: list[dict[str, Any]] | None = None, **fields: Any) -> JobSpec:
        identifier = f"7.{uuid.uuid4().hex[:8]}.1"
        job = self.data / "jobs" / identifier
        definition = {
            "steps": [
                {"id": f"__{at}", "if": "success()", "line": at + 10, **step}
                for at, step in enumerate(steps or [])
            ],
            **fields.pop("definition", {}),
        }
        github = {"event_name": "push", "actor": "anna", "event": {}, **fields.pop("github", {})}
        contexts = {"github": github, "needs": {}, "strategy": {}, "matrix": {}, "inputs": {}, "vars": {}}
        given: dict[str, Any] = {
            "id": identifier, "run": 7, "attempt": 1, "key": "test", "name": "test", "repository": "acme/service",
            "definition": definition, "env": [], "contexts": {**contexts, **fields.pop("contexts", {})},
            "server_url": self.server_url, "mirrors": self.mirrors, "directory": str(job),
            "tools": str(self.data / "caches"),
            "socket": str(self.data / "run" / "jobs.sock"), "isolation": self.isolation, "engine": self.engine,
            "workflow_file": ".github/workflows/ci.yaml", "ref": "refs/heads/main", "sha": SHA,
        }  # fmt: skip
        return JobSpec(**{**given, **fields})

    def start(
        self, steps: list[dict[str, Any]] | None = None, *, secrets: dict[str, str] | None = None,
        token: str = TOKEN, before: Callable[[JobSpec], None] | None = None, **fields: Any,
    ) -> Ran:  # fmt: skip
        spec = self.spec(steps, **fields)
        directory = Path(spec.directory)
        directory.mkdir(parents=True)
        (directory / "spec.json").write_text(spec.to_json())
        if before is not None:
            before(spec)
        began = time.time()
        pid = ask(self._zygote, directory, JobSecrets(token, secrets or {}).to_json())
        return Ran(directory, pid, began)

    def run(self, *steps: dict[str, Any], **fields: Any) -> Ran:
        ran = self.start(list(steps), **fields)
        ran.wait()
        return ran

    def script(self, text: str, **fields: Any) -> Ran:
        return self.run({"run": text}, **fields)


def ask(zygote: Path, directory: Path, payload: str) -> int:
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(str(zygote))
        socket.send_fds(channel, [os.fsencode(directory) + b"\n"], [reading])
        os.close(reading)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += channel.recv(4096)
    os.write(writing, payload.encode())
    os.close(writing)
    assert answer.strip().isdigit(), answer
    return int(answer)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-zygote-") as data:
        run = Path(data, "run")  # what is beside it is the fork server's too, and no other's
        run.mkdir()
        child = subprocess.Popen(
            [sys.executable, "-m", "windlass.runner.zygote", str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "WINDLASS_TEST_MARK": "zygote"},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield run / "zygote.sock"
        child.stdin.close()
        child.wait(timeout=10)
        child.stdout.close()


@pytest.fixture
def forge(tmp_path: Path, zygote: Path, isolation: str) -> Forge:
    return Forge(tmp_path / "data", zygote, isolation)


@pytest.fixture
def host_forge(tmp_path: Path, zygote: Path) -> Forge:
    return Forge(tmp_path / "data", zygote, "host")


@pytest.fixture
def sandboxed(tmp_path: Path, zygote: Path) -> Forge:
    if not bubblewrap_works():
        pytest.skip("no bubblewrap here")
    return Forge(tmp_path / "data", zygote, "bubblewrap")


class Server:
    """What a job needs of the server: git over HTTP by git's own backend, artifacts and caches, each asking for
    the job's token."""

    def __init__(self, root: Path) -> None:
        self.repositories = root / "repos"
        self.repositories.mkdir(parents=True)
        self.artifacts: dict[str, bytes] = {}
        self.caches: dict[int, dict[str, Any]] = {}
        self.tokens = {TOKEN}
        self.refused: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def handle_any(self) -> None:
                length = self.headers.get("Content-Length")
                body = self.rfile.read(int(length)) if length else self._chunks()
                status, kind, answer = server.answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", "Basic")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _chunks(self) -> bytes:
                body = b""
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                return body

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def repository(self, name: str, files: dict[str, str]) -> str:
        """Make a repository with one commit on main; return the commit."""
        bare = self.repositories / f"{name}.git"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        git("config", "http.receivepack", "true", cwd=bare)
        return self.commit(name, files, "first")

    def commit(self, name: str, files: dict[str, str], message: str, branch: str = "main") -> str:
        bare = self.repositories / f"{name}.git"
        with tempfile.TemporaryDirectory() as directory:
            git("clone", "--quiet", str(bare), directory)
            if branch != "main":
                git("switch", "--quiet", "-C", branch, cwd=Path(directory))
            for path, text in files.items():
                target = Path(directory) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            git("add", "--all", cwd=Path(directory))
            who = ("-c", "user.name=anna", "-c", "user.email=anna@acme.example")
            git(*who, "commit", "--quiet", "--allow-empty", "-m", message, cwd=Path(directory))
            git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=Path(directory))
            return git("rev-parse", "HEAD", cwd=Path(directory)).strip()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        parts = urlsplit(target)
        if (
            self._token(next((value for key, value in headers.items() if key.lower() == "authorization"), ""))
            not in self.tokens
        ):
            self.refused.append(target)
            return 401, "text/plain", b"who are you?"
        if parts.path.startswith("/_jobs/artifacts"):
            return self._artifacts(
                method, unquote(parts.path.removeprefix("/_jobs/artifacts").lstrip("/")), parts.query, body
            )
        if parts.path.startswith("/_jobs/caches"):
            return self._caches(
                method, parts.path.removeprefix("/_jobs/caches").lstrip("/"), parts.query, body
            )
        return self._git(method, parts.path, parts.query, headers, body)

    @staticmethod
    def _token(header: str) -> str:
        kind, _, value = header.partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(value).decode().partition(":")[2]
        return value

    def _artifacts(self, method: str, name: str, query: str, body: bytes) -> tuple[int, str, bytes]:
        if method == "PUT":
            if name in self.artifacts and parse_qs(query).get("overwrite") != ["true"]:
                return 409, "application/json", json.dumps({"message": f"there is {name} already"}).encode()
            self.artifacts[name] = body
            return 201, "application/json", b"{}"
        if not name:
            listed = {"artifacts": [{"name": one, "size": len(data)} for one, data in self.artifacts.items()]}
            return 200, "application/json", json.dumps(listed).encode()
        if name not in self.artifacts:
            return 404, "application/json", b'{"message": "no such artifact"}'
        return 200, "application/zip", self.artifacts[name]

    def _caches(self, method: str, name: str, query: str, body: bytes) -> tuple[int, str, bytes]:
        asked = parse_qs(query)
        if method == "PUT":
            wanted = {"key": unquote(name), "version": asked["version"][0]}
            if any(wanted.items() <= entry.items() for entry in self.caches.values()):
                return 409, "application/json", b'{"message": "caches never change"}'
            identifier = len(self.caches) + 1
            self.caches[identifier] = {"id": identifier, **wanted, "data": body}
            return 201, "application/json", json.dumps({"id": identifier}).encode()
        if name:
            return 200, "application/octet-stream", self.caches[int(name)]["data"]
        for key in asked["keys"][0].split(","):
            for entry in self.caches.values():
                if (
                    entry["data"] is not None
                    and entry["key"].startswith(key)
                    and entry["version"] == asked["version"][0]
                ):
                    shown = {field: entry[field] for field in ("id", "key", "version")}
                    return 200, "application/json", json.dumps(shown).encode()
        return 204, "text/plain", b""

    def _git(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        lower = {key.lower(): value for key, value in headers.items()}
        name, slash, rest = path.partition(".git/")
        if not slash:
            for marker in ("/info/", "/git-"):
                if marker in path:
                    at = path.index(marker)
                    name, rest = path[:at], path[at + 1 :]
                    break
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.repositories), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"{name}.git/{rest}", "QUERY_STRING": query, "REQUEST_METHOD": method, "REMOTE_USER": "job",
            "CONTENT_TYPE": lower.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": lower.get("content-encoding", ""),
            "GIT_PROTOCOL": lower.get("git-protocol", ""), "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent",
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        given = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        return int(given.get("Status", "200").split()[0]), given.get("Content-Type", "text/plain"), answer


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The host of a real registry, to which the job's token may write."""
    import uvicorn

    from windlass.identity import FixedAuthenticator, Principal
    from windlass.registry import Registry, RegistryHTTP
    from windlass.store import Store

    store = Store(tmp_path / "registry.db")
    known = {TOKEN: Principal("job", "run/7/test/1", ("registry:write:acme/*",))}
    app = RegistryHTTP(Registry(store, tmp_path / "registry", min_free=0), FixedAuthenticator(known))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()
    store.close()


def git(*arguments: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def shell_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with this machine's sh and a few programs, in podman's store while the tests last."""
    if not shutil.which("podman"):
        pytest.skip("no podman here")
    tar = tmp_path_factory.mktemp("image") / "root.tar"
    programs = ["dash", "bash", "cat", "env", "sleep", "ls", "id", "python3"]
    found = [Path(place) for program in programs if (place := shutil.which(program, path="/usr/bin:/bin"))]
    files = {path for program in found for path in (program, *libraries(program.resolve()))}
    with tarfile.open(tar, "w") as archive:
        for file in sorted(files):
            archive.add(file.resolve(), arcname=str(file).lstrip("/"), recursive=False)
        for name, target in (("bin/sh", "/usr/bin/dash"), ("bin/bash", "/usr/bin/bash")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        stdlib = Path(
            subprocess.check_output(["/usr/bin/python3", "-c", "import os; print(os.__file__)"], text=True)
        )
        archive.add(stdlib.parent, arcname=str(stdlib.parent).lstrip("/"), filter=_wanted)
        for name in ("tmp", "run", "etc", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
    name = f"localhost/windlass-test/shell:{uuid.uuid4().hex[:8]}"
    change = "ENV PATH=/usr/local/bin:/usr/bin:/bin"
    subprocess.run(["podman", "import", "--quiet", "--change", change, str(tar), name], check=True)
    yield name
    subprocess.run(["podman", "rmi", "--force", name], check=False, capture_output=True)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    unwanted = {"test", "__pycache__", "dist-packages", "idlelib", "ensurepip", "tkinter", "lib2to3"}
    return None if unwanted & set(Path(entry.name).parts) or "/config-" in entry.name else entry


def libraries(program: Path) -> list[Path]:
    listed = subprocess.run(["ldd", str(program)], check=False, capture_output=True, text=True).stdout
    return [Path(word) for word in listed.split() if word.startswith("/")]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    for name in ("forge", "host_forge", "sandboxed"):
        if name in request.fixturenames:
            request.getfixturevalue(name).server_url = made.url
    yield made
    made.close()


@pytest.fixture
def another_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Servers beside the job's own."""
    made: list[Server] = []

    def make() -> Server:
        made.append(Server(tmp_path / f"other-{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.close()
