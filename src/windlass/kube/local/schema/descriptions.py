"""What the fields mean, for `kubectl explain`: read from the docstrings of lightkube's models when it is asked."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

FIELD = re.compile(r"^\s*\* \*\*(?P<name>[^*]+)\*\* ``[^`]*``(?: - )?(?P<text>.*)$")


@cache
def describe_type(type_name: str) -> tuple[str, dict[str, str]]:
    """Return a type's description and its fields'; empty where nothing is known."""
    module, _, name = type_name.partition(".")
    try:
        documented = getattr(import_module(f"lightkube.models.{module}"), name, None)
    except ImportError:
        documented = None
    summary, _, parameters = (documented.__doc__ or "" if documented else "").partition("**parameters**")
    fields: dict[str, str] = {}
    current = ""
    for line in parameters.splitlines():
        if match := FIELD.match(line):
            current = match["name"]
            fields[current] = match["text"].strip()
        elif current and line.strip():
            fields[current] += f" {line.strip()}"
    return " ".join(summary.split()), fields
