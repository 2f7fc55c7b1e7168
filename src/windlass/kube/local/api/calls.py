"""One request and its answer, on plain ASGI: the API's hot path needs no framework in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import yaml
from msgspec import DecodeError

from windlass.kube.errors import BadRequestError, TooLargeError, UnsupportedMediaTypeError
from windlass.kube.local.storage import decode, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from windlass.identity import Principal

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 3 * 1024 * 1024
JSON = b"application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which could make a small body a huge object."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken in request bodies")
        return super().compose_node(parent, index)


@dataclass(slots=True)
class Call:
    """One request. `query` holds the last value of each parameter."""

    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    query: dict[str, str]
    headers: dict[bytes, bytes]
    receive: Receive
    send: Send
    principal: Principal
    warnings: list[str] = field(default_factory=list)

    def flag(self, name: str) -> bool:
        """Read a boolean parameter: absent, `false` and `0` are false."""
        return self.query.get(name, "false").lower() not in {"false", "0", ""}

    def number(self, name: str) -> int | None:
        """Read a non-negative integer parameter; BadRequestError when it is something else."""
        text = self.query.get(name)
        if text is None or text == "":
            return None
        if not text.isdigit() or len(text) > 15:
            raise BadRequestError(f"invalid value {text!r} for parameter {name}: a number is expected")
        return int(text)

    @property
    def content_type(self) -> str:
        """The body's media type without parameters, in lower case."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        """What the client accepts."""
        return self.headers.get(b"accept", b"").decode("latin-1")

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be stored (`dryRun=All`)."""
        value = self.query.get("dryRun", "")
        if value not in {"", "All"}:
            raise BadRequestError(
                f'Invalid value: "{value}": dryRun: Unsupported value: supported values: "All"'
            )
        return value == "All"

    @property
    def manager(self) -> str:
        """The field manager: the parameter, else the program that the user agent names."""
        agent = self.headers.get(b"user-agent", b"").decode("latin-1").partition("/")[0].strip()
        return self.query.get("fieldManager") or agent or "unknown"

    async def body(self) -> bytes:
        """Read the body; TooLargeError beyond 3 MiB."""
        content = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise BadRequestError("the client went away before its body was complete")
            content += message.get("body", b"")
            if len(content) > BODY_LIMIT:
                raise TooLargeError(f"Request entity too large: limit is {BODY_LIMIT}")
            if not message.get("more_body"):
                return bytes(content)

    async def data(self) -> Any:
        """Read the body as an object: JSON, YAML, or Kubernetes' protobuf for the kinds that kubectl sends so."""
        body = await self.body()
        if self.content_type == PROTOBUF or body.startswith(b"k8s\x00"):
            from windlass.kube.local.api.protobuf import decode_object

            return decode_object(body)
        if not body:
            return None
        if self.content_type.endswith("yaml") and not body.lstrip().startswith(b"{"):
            return _yaml(body)
        # kubectl 1.20 sends some bodies without a content type
        if self.content_type and not self.content_type.endswith(("json", "yaml")):
            raise UnsupportedMediaTypeError(
                f"the body of the request was in an unknown format - accepted media types include: "
                f"application/json, application/yaml, {PROTOBUF}; got {self.content_type}"
            )
        return from_json(body)


def from_json(body: bytes) -> Any:
    """Decode JSON; BadRequestError when it is malformed."""
    try:
        return decode(body)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequestError(f"couldn't parse the body as JSON: {error}") from None


def _yaml(body: bytes) -> Any:
    try:
        return yaml.load(body, Loader=_PlainLoader)  # noqa: S506 a safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadRequestError(f"couldn't parse the body as YAML: {error}") from None


def query_of(query_string: bytes) -> dict[str, str]:
    """Parse a query string; the last value of a parameter counts."""
    if not query_string:
        return {}
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=100))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send, warnings: Iterable[str] = ()) -> None:
        """Send it, with warnings as `Warning: 299` headers."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
            *((b"warning", _warning(text)) for text in list(warnings)[:50]),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def _warning(text: str) -> bytes:
    plain = text[:500].encode("ascii", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{"".join(char for char in plain if char.isprintable())}"'.encode()


def as_json(data: Any, status: int = 200) -> Answer:
    """Answer with an object."""
    return Answer(encode(data), status)
