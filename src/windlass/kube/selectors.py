"""Label and field selectors: parsed once, then asked of many objects."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windlass.kube.types import Object

LIMIT = 8192
_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_KEY})\s+(in|notin)\s+\(([^()]*)\)$")
_EQUAL = re.compile(rf"^({_KEY})\s*(==|=|!=)\s*(.*)$")
_EXISTS = re.compile(rf"^(!?)\s*({_KEY})$")

Labels = "Mapping[str, str]"


def _split(text: str) -> list[str]:
    """Split at the commas outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(term):
        key, within = match[1], match[3] == "in"
        values = frozenset(value.strip() for value in match[4].split(","))
        return lambda labels: (labels.get(key) in values) is within
    if match := _EQUAL.match(term):
        key, equal, value = match[1], match[3] != "!=", match[4].strip()
        return lambda labels: (labels.get(key) == value) is equal
    if match := _EXISTS.match(term):
        key, there = match[2], not match[1]
        return lambda labels: (key in labels) is there
    raise BadRequestError(f'unable to parse requirement: "{term}" is not a label selector term')


@lru_cache(maxsize=1024)
def label_selector(text: str) -> Callable[[Mapping[str, str]], bool]:
    """Parse `app=web,tier in (a,b),!legacy`; return a predicate over labels. BadRequestError when malformed."""
    if len(text) > LIMIT:
        raise BadRequestError(f"label selector is longer than {LIMIT} characters")
    terms = [_label_term(term) for term in _split(text)]
    return lambda labels: all(term(labels) for term in terms)


def _expression(term: Object) -> Callable[[Mapping[str, str]], bool]:
    key, values = term["key"], frozenset(term.get("values") or ())
    match term["operator"]:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case other:
            raise BadRequestError(f'"{other}" is not a valid label selector operator')


def matches_labels(selector: Object | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a `LabelSelector` object (matchLabels, matchExpressions) selects these labels; an empty one does."""
    if selector is None:
        return False
    have = labels or {}
    wanted = selector.get("matchLabels") or {}
    if any(have.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(term)(have) for term in selector.get("matchExpressions") or ())


def selector_text(selector: Object | None) -> str:
    """Write a `LabelSelector` object as text, as `kubectl -l` takes it."""
    if selector is None:
        return ""
    words = {"In": "in", "NotIn": "notin"}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or ():
        operator, key = term["operator"], term["key"]
        if operator in words:
            terms.append(f"{key} {words[operator]} ({','.join(sorted(term.get('values') or ()))})")
        else:
            terms.append(key if operator == "Exists" else f"!{key}")
    return ",".join(terms)


def _at(obj: Any, path: tuple[str, ...]) -> str:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None else str(obj)


@lru_cache(maxsize=1024)
def field_selector(text: str) -> Callable[[Object], bool]:
    """Parse `metadata.name=web,status.phase!=Running`; return a predicate over objects.

    Any path of plain fields is understood (Kubernetes knows few per kind); BadRequestError when malformed.
    """
    if len(text) > LIMIT:
        raise BadRequestError(f"field selector is longer than {LIMIT} characters")
    terms: list[tuple[tuple[str, ...], str, bool]] = []
    for term in text.split(","):
        if not term.strip():
            continue
        match = re.match(r"^([A-Za-z][\w.]*)\s*(==|=|!=)(.*)$", term.strip())
        if not match:
            raise BadRequestError(f"invalid field selector: {term!r}; expected FIELD=VALUE or FIELD!=VALUE")
        terms.append((tuple(match[1].split(".")), match[3], match[2] != "!="))
    return lambda obj: all((_at(obj, path) == value) is equal for path, value, equal in terms)


def selects(labels: str | None, fields: str | None) -> Callable[[Object], bool]:
    """Return one predicate over objects for both selectors; None and empty select everything."""
    if not labels and not fields:
        return lambda _: True
    by_label = label_selector(labels or "")
    by_field = field_selector(fields or "")
    return lambda obj: by_label((obj.get("metadata") or {}).get("labels") or {}) and by_field(obj)
