"""pypa/gh-action-pypi-publish, with an index of the test's own."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from windlass.runner.shims import uv_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.conftest import Forge

PUBLISH = "pypa/gh-action-pypi-publish@release/v1"
WHEEL = """python3 - <<'END'
import zipfile
info = "mine-1.0.dist-info"
with zipfile.ZipFile("out/mine-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("mine.py", "")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
END"""


@pytest.fixture
def index() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Index(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/legacy/", got
    server.shutdown()
    server.server_close()


@pytest.mark.integration
@pytest.mark.skipif(not uv_program(), reason="no uv here")
def test_what_was_built_is_uploaded_with_the_password(
    forge: Forge, index: tuple[str, list[tuple[str, bytes]]]
) -> None:
    url, got = index
    ran = forge.run(
        {"run": f"mkdir out; {WHEEL}\necho no > out/notes.txt"},
        {"uses": PUBLISH, "with": {"packages_dir": "out/", "repository-url": url, "user": "anna",
                                   "password": "${{ secrets.INDEX }}", "print-hash": "true"}},
        secrets={"INDEX": "correct horse"},
    )  # fmt: skip
    if "Failed to fetch" in ran.everything or "No solution found" in ran.everything:
        pytest.skip("the package index is out of reach")
    assert ran.conclusion == "success", ran.everything
    ((authorization, body),) = got
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"anna:correct horse"
    assert b'filename="mine-1.0-py3-none-any.whl"' in body
    assert "Checking ./out/mine-1.0-py3-none-any.whl: " in ran.log(2)
    assert "correct horse" not in ran.everything


def test_trusted_publishing_is_refused_with_what_to_do(host_forge: Forge) -> None:
    ran = host_forge.run({"uses": PUBLISH})
    reason = ran.wait()["reason"]
    assert "trusted publishing is not possible from here: https://upload.pypi.org/legacy/ trusts" in reason
    assert "password: ${{ secrets.PYPI_API_TOKEN }}" in reason


def test_nothing_to_upload_is_an_error_that_says_where_it_looked(host_forge: Forge) -> None:
    ran = host_forge.run({"uses": PUBLISH, "with": {"password": "surely-no-token"}})
    assert "there are no distributions (.whl, .tar.gz, .zip) in dist" in ran.wait()["reason"]
    (said,) = ran.of("annotation", level="warning")
    assert "does not begin with `pypi-`" in said["message"]
    assert "surely-no-token" not in ran.printed(1)
