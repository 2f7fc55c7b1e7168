"""The functions that every expression may call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.values import (
    equals,
    fold,
    from_json,
    is_primitive,
    to_json,
    to_string,
)

MAX_ARGUMENTS = 255
MAX_RESULT = 10 * 1024 * 1024


class Function(NamedTuple):
    """A function with the number of arguments that it takes."""

    minimum: int
    maximum: int
    call: Callable[..., Any]


def _evaluation(message: str) -> ExpressionError:
    return ExpressionError("evaluation", message)


def too_large() -> ExpressionError:
    """Return the error of an evaluation that takes more memory than it may."""
    return _evaluation("The maximum allowed memory size was exceeded")


def _contains(search: Any, item: Any) -> bool:
    if is_primitive(search):
        return is_primitive(item) and fold(to_string(item)) in fold(to_string(search))
    if isinstance(search, Mapping):
        return False
    return any(equals(item, value) for value in search)


def _starts_with(text: Any, value: Any) -> bool:
    return (
        is_primitive(text)
        and is_primitive(value)
        and fold(to_string(text)).startswith(fold(to_string(value)))
    )


def _ends_with(text: Any, value: Any) -> bool:
    return (
        is_primitive(text) and is_primitive(value) and fold(to_string(text)).endswith(fold(to_string(value)))
    )


def _join(items: Any, separator: Any = ",") -> str:
    if is_primitive(items):
        return to_string(items)
    if isinstance(items, Mapping):
        return ""
    between = to_string(separator) if is_primitive(separator) else ","
    texts = [to_string(item) for item in items]
    if sum(map(len, texts)) + len(between) * len(texts) > MAX_RESULT:
        raise too_large()
    return between.join(texts)


def _from_json(text: Any) -> Any:
    source = to_string(text)
    if not source.strip():
        raise _evaluation("Error parsing JSON when evaluating fromJson: empty input")
    try:
        return from_json(source)
    except ValueError as error:
        raise _evaluation(f"Error parsing JSON when evaluating fromJson: {error}") from None


def _format(template: Any, *arguments: Any) -> str:
    """Fill `{N}`; `{{` and `}}` stand for braces."""
    text = to_string(template)
    made = list(_pieces(text, arguments))
    if sum(map(len, made)) > MAX_RESULT:
        raise too_large()
    return "".join(made)


def _pieces(text: str, arguments: Sequence[Any]) -> Iterator[str]:
    size = 0
    index = 0
    while index < len(text):
        left, right = text.find("{", index), text.find("}", index)
        first = min((at for at in (left, right) if at >= 0), default=len(text))
        yield text[index:first]
        if first == len(text):
            return
        if text[first : first + 2] in {"{{", "}}"}:
            yield text[first]
            index = first + 2
            continue
        digits = text[first + 1 : max(right, 0)]
        if first == right or not (digits.isascii() and digits.isdigit()):
            raise _evaluation(f"The following format string is invalid: {text}")
        if len(digits) > 3 or int(digits) >= len(arguments):
            raise _evaluation(
                f"The following format string references more arguments than were supplied: {text}"
            )
        piece = to_string(arguments[int(digits)])
        if (size := size + len(piece)) > MAX_RESULT:
            raise too_large()
        yield piece
        index = right + 1


def case(arguments: Sequence[Callable[[], Any]]) -> Any:
    """Return the value after the first predicate that is true, else the last. Evaluates no more than that."""
    for predicate, value in zip(arguments[:-1:2], arguments[1::2], strict=True):
        chosen = predicate()
        if not isinstance(chosen, bool):
            raise _evaluation("case predicate must evaluate to a boolean value")
        if chosen:
            return value()
    return arguments[-1]()


BUILTIN: dict[str, Function] = {
    "case": Function(3, MAX_ARGUMENTS, case),
    "contains": Function(2, 2, _contains),
    "endswith": Function(2, 2, _ends_with),
    "format": Function(1, MAX_ARGUMENTS, _format),
    "fromjson": Function(1, 1, _from_json),
    "join": Function(1, 2, _join),
    "startswith": Function(2, 2, _starts_with),
    "tojson": Function(1, 1, to_json),
}
STATUS: dict[str, tuple[int, int]] = {
    "always": (0, 0),
    "cancelled": (0, 0),
    "failure": (0, MAX_ARGUMENTS),
    "success": (0, MAX_ARGUMENTS),
}
ARITY: dict[str, tuple[int, int]] = {
    **{name: (function.minimum, function.maximum) for name, function in BUILTIN.items()},
    **STATUS,
    "hashfiles": (1, MAX_ARGUMENTS),
}


def status_functions(status: str) -> dict[str, Callable[..., Any]]:
    """Return `success()`, `failure()`, `cancelled()` and `always()` for a job that stands so.

    `status` is `success`, `failure` or `cancelled`.
    """
    return {
        "success": lambda *_: status == "success",
        "failure": lambda *_: status == "failure",
        "cancelled": lambda: status == "cancelled",
        "always": lambda: True,
    }


__all__ = ["ARITY", "BUILTIN", "STATUS", "Function", "case", "status_functions", "too_large"]
