"""The fields of the toolkit's messages: JSON of protocol buffers, with names in either spelling; pure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

from windlass.pipelines.errors import PipelinesError

_UPPER = re.compile(r"_([a-z])")


def field(message: dict[str, Any], name: str) -> str:
    """Return a field as text, "" where it is not there: `snake_case` and `camelCase` are the same field.

    Raises `PipelinesError` where it is none of text, number and wrapped value.
    """
    value = message.get(name, message.get(_UPPER.sub(lambda found: found[1].upper(), name)))
    if isinstance(value, dict):
        value = value.get("value")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise PipelinesError(f"{name}: a text is expected, not {type(value).__name__}")
    return str(value)


def texts(message: dict[str, Any], name: str) -> list[str]:
    """Return a repeated field."""
    value = message.get(name, message.get(_UPPER.sub(lambda found: found[1].upper(), name))) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PipelinesError(f"{name}: a list of texts is expected")
    return value


def until(text: str) -> float | None:
    """Return the seconds from now to an RFC 3339 time, None without one. Raises `PipelinesError`."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PipelinesError(f"{text[:40]!r} is not a time") from None
    return max(60.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time())


def moment(seconds: float) -> str:
    """Return a time as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
