"""How commands speak to the server: the REST API with a token."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import httpx2 as httpx

from windlass.server.datadir import DataDirectory
from windlass.server.settings import default_data_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class NoServerError(click.ClickException):
    """No server was found to talk to."""

    exit_code = 3


class ServerRefusedError(click.ClickException):
    """The server answered that it will not."""

    exit_code = 1


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data DIR`, which names the server to talk to."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_data_directory,
        show_default="$WINDLASS_DATA or ~/.local/share/windlass",
        help="Data directory of the server.",
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, for programs that read the output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


class Client:
    """A connection to one server's REST API. `source` says where its token comes from."""

    def __init__(self, url: str, token: str, source: str) -> None:
        self.url = url
        self.token = token
        self._source = source
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the parsed answer.

        Raises ServerRefusedError with the server's reason, NoServerError when nothing answers.
        """
        response = self._send(method, path, **options)
        if response.headers.get("content-type", "").startswith("application/json"):
            return response.json()
        return response.text

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, f"/api/v1{path}", **options)
        except httpx.TransportError as error:
            raise NoServerError(
                f"no server answers at {self.url} ({error}): start one with `windlass up`"
            ) from None
        self._check(response)
        return response

    def _check(self, response: httpx.Response) -> None:
        if not response.is_error:
            return
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ServerRefusedError(
                f"{self.url} does not let in the token of {self._source}: it has expired, was revoked, or is another "
                "server's. `windlass token create` on the server's machine makes one"
            )
        raise ServerRefusedError(reason_of(response))

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[Iterator[str]]:
        """Open a streamed answer: its lines as they come."""
        try:
            with self._http.stream("GET", f"/api/v1{path}", timeout=None, **options) as response:
                if response.is_error:
                    response.read()
                    self._check(response)
                yield response.iter_lines()
        except httpx.TransportError as error:
            raise NoServerError(f"the server at {self.url} went away: {error}") from None


def reason_of(response: httpx.Response) -> str:
    """Return the server's words for why not."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return (
            f"{response.url} answers {response.status_code} {response.reason_phrase}, and not as Windlass does: "
            f"is it the server's address? {response.text[:500].strip()}"
        )
    return detail if isinstance(detail, str) else json.dumps(detail)


def connect(data: Path) -> Client:
    """Find the server of the data directory, or the one that WINDLASS_URL and WINDLASS_TOKEN name."""
    url, token = os.environ.get("WINDLASS_URL"), os.environ.get("WINDLASS_TOKEN")
    if url and token:
        check_contact(url, token)
        return Client(url, token, "WINDLASS_TOKEN")
    directory = DataDirectory(data)
    url = directory.read_contact().get("url")
    try:
        token = directory.admin_token.read_text(encoding="utf-8").strip()
    except OSError:
        token = None
    if not url or not token:
        raise NoServerError(
            f"no server runs in {data}: start one with `windlass up`, name its directory with --data, "
            "or set WINDLASS_URL and WINDLASS_TOKEN"
        )
    return Client(url, token, str(directory.admin_token))


def check_contact(url: str, token: str) -> None:
    """Raise UsageError where what the environment says cannot be an address or a token."""
    found = urlsplit(url)
    if found.scheme not in {"http", "https"} or not found.hostname:
        raise click.UsageError(f"WINDLASS_URL is {url!r}: write http://HOST:PORT, where the server listens")
    if not re.fullmatch(r"[!-~]+", token):
        raise click.UsageError("WINDLASS_TOKEN is no token: it holds spaces or letters that no token has")


def print_json(value: Any) -> None:
    """Print for a program."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def say(words: str, answer: Any = None, *, as_json: bool) -> None:
    """Tell what was done; a program gets what the server answered, and the words where that is nothing."""
    if as_json:
        print_json(answer if isinstance(answer, (dict, list)) else {"done": words})
    else:
        click.echo(words)
