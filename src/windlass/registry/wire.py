"""What stands on the wire of the distribution API: paths, ranges, pages, errors. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from windlass.registry.errors import (
    DigestInvalidError,
    ManifestInvalidError,
    NameInvalidError,
    RefusedError,
    SizeInvalidError,
    UnsupportedError,
    UploadInvalidError,
)
from windlass.registry.reference import DIGEST, MAX_NAME, PATH, TAG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Headers = list[tuple[bytes, bytes]]

ROUTES = [
    ("base", re.compile(r"/v2/?")),
    ("catalog", re.compile(r"/v2/_catalog")),
    ("begin", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?")),
    ("upload", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)")),
    ("blob", re.compile(r"/v2/(?P<name>.+)/blobs/(?P<reference>[^/]+)")),
    ("manifest", re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")),
    ("tags", re.compile(r"/v2/(?P<name>.+)/tags/list")),
    ("referrers", re.compile(r"/v2/(?P<name>.+)/referrers/(?P<reference>[^/]+)")),
]
READING = frozenset({"GET", "HEAD"})
PAGE = 1000
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?")


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the API that is well formed."""

    method: str
    route: str
    name: str
    reference: str
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]

    @property
    def resource(self) -> str:
        """What rights are asked for: `owner/name`, also for names that go deeper."""
        return "/".join(self.name.split("/")[:2])

    @property
    def right(self) -> str:
        """The right that is needed."""
        return "registry:read" if self.method in READING and self.route != "upload" else "registry:write"

    def header(self, name: bytes) -> str:
        """Return a header's value, or nothing."""
        return self.headers.get(name, b"").decode("latin-1")


def parse_request(method: str, path: str, query: bytes, headers: Mapping[bytes, bytes]) -> Request:
    """Read a request, or refuse it with the specification's code."""
    route, found = next(
        ((route, match) for route, pattern in ROUTES if (match := pattern.fullmatch(path))), ("", None)
    )
    if found is None:
        raise UnsupportedError("Not a path of the distribution API.", status=404)
    groups = found.groupdict()
    name, reference = groups.get("name", ""), groups.get("reference", "")
    if "name" in groups and (len(name) > MAX_NAME or not PATH.fullmatch(name)):
        raise NameInvalidError(f"{name[:200]!r} is not a repository's name: lower case, OWNER/NAME.")
    if route in {"blob", "referrers"}:
        check_digest(reference)
    if route == "manifest" and not (TAG.fullmatch(reference) or DIGEST.fullmatch(reference)):
        raise ManifestInvalidError(f"{reference[:200]!r} is neither a tag nor a digest.")
    try:
        values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise RefusedError("The query has more than 16 fields.") from None
    return Request(method, route, name, reference, {key: value[0] for key, value in values.items()}, headers)


def check_digest(digest: str) -> str:
    """Return a digest of the kind that is kept here."""
    if not DIGEST.fullmatch(digest) or not digest.startswith("sha256:"):
        raise DigestInvalidError(
            f"{digest[:200]!r} is not a digest that is kept here (sha256:<64 hex digits>)."
        )
    return digest


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a `Range` (RFC 9110), None for the whole; 416 if it lies outside."""
    match = RANGE.fullmatch(value.replace(" ", ""))
    if not match or not (match[1] or match[2]):
        return None  # also several ranges: the whole may be sent
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        raise SizeInvalidError(
            f"The range {value} lies outside of {size} bytes.", status=416, content_range=f"bytes */{size}"
        )
    return first, last


def check_chunk(content_range: str, content_length: str, size: int) -> None:
    """Check a chunk's `Content-Range` against what has arrived: 416 if it does not follow on."""
    if not content_range:
        return
    match = CONTENT_RANGE.fullmatch(content_range)
    if not match or int(match[2]) < int(match[1]):
        raise UploadInvalidError(f"Content-Range {content_range!r} is not START-END.")
    if int(match[1]) != size:
        raise UploadInvalidError(
            f"{size} bytes have arrived, the chunk begins at {match[1]}.",
            status=416,
            range=upload_range(size),
        )
    if content_length.isdigit() and int(content_length) != int(match[2]) - int(match[1]) + 1:
        raise SizeInvalidError(f"Content-Range {content_range} and Content-Length {content_length} differ.")


def upload_range(size: int) -> str:
    """Return the `Range` header of an upload's state (both ends inclusive; `0-0` also for nothing)."""
    return f"0-{max(0, size - 1)}"


def page(query: Mapping[str, str]) -> tuple[int, str]:
    """Return how many to list, after which."""
    number = query.get("n", "")
    if number and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise RefusedError("n must be a number.")
    return min(int(number), PAGE) if number else PAGE, query.get("last", "")


def next_page(path: str, limit: int, names: Sequence[str], *, more: bool) -> Headers:
    """Return the `Link` to the next page (RFC 8288), if there is one."""
    if not more or not names:
        return []
    return [(b"link", f'<{path}?n={limit}&last={quote(names[-1])}>; rel="next"'.encode())]


def json_body(document: Any, media_type: str = "application/json") -> tuple[Headers, bytes]:
    """Return headers and body for a document."""
    body = json.dumps(document).encode()
    return [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))], body


def error_body(error: RefusedError) -> tuple[Headers, bytes]:
    """Return headers and body for a refusal, as the specification has them."""
    return json_body({"errors": [{"code": error.code, "message": str(error), "detail": None}]})
