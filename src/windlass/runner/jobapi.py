"""The server's API for jobs: artifacts and caches. A server that restarts is waited for."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from windlass.runner.errors import ExistsError, JobApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PATIENCE = 30.0
"""Seconds for which a server that does not answer is asked again."""
_PAUSE = 0.5
_TIMEOUT = 60.0
_CHUNK = 1 << 20
_JSON_LIMIT = 4 << 20
_AWAY = frozenset({502, 503, 504})


class JobApi:
    """Calls of one job, in its name. Raises `JobApiError` with the server's own words."""

    def __init__(self, server_url: str, token: str, *, patience: float = PATIENCE) -> None:
        parts = urlsplit(server_url)
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/") + "/_jobs"
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "windlass-runner"}
        self._patience = patience

    def put_artifact(
        self, name: str, archive: BinaryIO, size: int, *, overwrite: bool = False, days: str = ""
    ) -> dict[str, Any]:
        """Store a zip as an artifact of the run, for so many days; return what the server says of it."""
        query = "?" + urlencode({"overwrite": str(overwrite).lower(), "retention-days": days})
        path = f"/artifacts/{quote(name, safe='')}{query}"
        return self._send("PUT", path, archive, size, "application/zip")

    def artifacts(self, run: str = "") -> list[dict[str, Any]]:
        """Return the artifacts of a run of the repository, the job's own by default; each has a `name`."""
        found = self._json(f"/artifacts{_of(run)}")
        listed = found.get("artifacts", []) if isinstance(found, dict) else found
        return [item if isinstance(item, dict) else {"name": str(item)} for item in listed or []]

    def get_artifact(self, name: str, target: BinaryIO, run: str = "") -> bool:
        """Write the artifact's zip to `target`. Returns whether there is one."""
        return self._fetch(f"/artifacts/{quote(name, safe='')}{_of(run)}", target)

    def delete_artifact(self, name: str) -> None:
        """Delete an artifact of the run; one that is gone is none."""
        path = f"/artifacts/{quote(name, safe='')}"

        def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
            connection.request("DELETE", self._prefix + path, headers=self._headers)
            return connection.getresponse()

        with self._answer(ask, path, missing_ok=True) as response:
            response.read(_JSON_LIMIT)

    def find_cache(self, keys: list[str], version: str) -> dict[str, Any] | None:
        """Return the entry that the first of these keys names, or of which a later one is the beginning."""
        found = self._json("/caches?" + urlencode({"keys": ",".join(keys), "version": version}), missing=None)
        if isinstance(found, list):
            found = found[0] if found else None
        return found if isinstance(found, dict) and found.get("id") is not None else None

    def get_cache(self, identifier: str, target: BinaryIO) -> bool:
        """Write a cache entry's archive to `target`. Returns whether it is there."""
        return self._fetch(f"/caches/{quote(str(identifier), safe='')}", target)

    def put_cache(self, key: str, version: str, archive: BinaryIO, size: int) -> None:
        """Make a cache entry. Raises `ExistsError` where there is one of this key already."""
        path = f"/caches/{quote(key, safe='')}?" + urlencode({"version": version})
        self._send("PUT", path, archive, size, "application/octet-stream")

    def _send(self, method: str, path: str, body: BinaryIO, size: int, kind: str) -> dict[str, Any]:
        def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
            body.seek(0)
            headers = {**self._headers, "Content-Type": kind, "Content-Length": str(size)}
            connection.request(method, self._prefix + path, body=body, headers=headers)
            return connection.getresponse()

        with self._answer(ask, path) as response:
            text = response.read(_JSON_LIMIT)
        try:
            found = json.loads(text or b"{}")
        except ValueError:
            raise JobApiError(f"{path}: the server's answer is not JSON") from None
        return found if isinstance(found, dict) else {}

    def _json(self, path: str, missing: Any = ()) -> Any:
        with self._answer(self._get(path), path, missing_ok=True) as response:
            if response.status in {204, 404}:
                return missing
            text = response.read(_JSON_LIMIT)
        try:
            return json.loads(text)
        except ValueError:
            raise JobApiError(f"{path}: the server's answer is not JSON") from None

    def _fetch(self, path: str, target: BinaryIO) -> bool:
        with self._answer(self._get(path), path, missing_ok=True) as response:
            if response.status == 404:
                return False
            while chunk := response.read(_CHUNK):
                target.write(chunk)
            return True

    def _get(self, path: str) -> Any:
        def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
            connection.request("GET", self._prefix + path, headers=self._headers)
            return connection.getresponse()

        return ask

    def _answer(
        self, ask: Any, path: str, *, missing_ok: bool = False
    ) -> AbstractContextManager[http.client.HTTPResponse]:
        @contextlib.contextmanager
        def conversation() -> Iterator[http.client.HTTPResponse]:
            connection, response = self._patiently(ask, path)
            try:
                if response.status >= 400 and not (missing_ok and response.status == 404):
                    words = _words(response)
                    if response.status == 409:
                        raise ExistsError(words)
                    raise JobApiError(
                        f"{path.partition('?')[0]}: the server answered {response.status}: {words}"
                    )
                yield response
            finally:
                connection.close()

        return conversation()

    def _patiently(self, ask: Any, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        until = time.monotonic() + self._patience
        while True:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(self._host, timeout=_TIMEOUT)
            try:
                response = ask(connection)
                if response.status not in _AWAY or time.monotonic() >= until:
                    return connection, response
                reason = f"status {response.status}"
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            connection.close()
            if time.monotonic() >= until:
                raise JobApiError(
                    f"{path.partition('?')[0]}: no answer from the server for {self._patience:.0f} s: {reason}"
                )
            time.sleep(_PAUSE)


def _of(run: str) -> str:
    return "?" + urlencode({"run": run}) if run else ""


def _words(response: http.client.HTTPResponse) -> str:
    text = response.read(2000).decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
