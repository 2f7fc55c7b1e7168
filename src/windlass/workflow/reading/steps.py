"""From the token under `steps:` to steps as plain data, with identifiers and normalised conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.workflow.expressions.errors import ExpressionError
from windlass.workflow.expressions.parser import parse
from windlass.workflow.expressions.template import normalised
from windlass.workflow.grammar.types import NOWHERE, allowed
from windlass.workflow.reading import places
from windlass.workflow.reading.ids import Ids, action_reference, step_hint
from windlass.workflow.reading.tokens import (
    Expression,
    MappingToken,
    SequenceToken,
    Token,
    data,
    strings,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from windlass.workflow.reading.problems import Problems

_KINDS = {  # what a step without `run` and `uses` does: hint of its identifier, name
    "wait": ("wait", "Wait"),
    "wait-all": ("wait-all", "Wait for all"),
    "cancel": ("cancel", "Cancel"),
    "parallel": ("parallel", "Parallel group"),
}
_NOT_IN_PARALLEL = {
    "background": (
        "'background' is not allowed inside a parallel block. "
        "Steps in a parallel block are automatically run as background steps."
    ),
    "wait": "'wait' is not allowed inside a parallel block.",
    "wait-all": "'wait-all' is not allowed inside a parallel block.",
    "cancel": "'cancel' is not allowed inside a parallel block.",
    "parallel": "Nested 'parallel' blocks are not allowed.",
}
Step = dict[str, Any]


def condition(token: Token | None, names: str, problems: Problems) -> str:
    """Return a whole condition, noting what is wrong with it; `names` are what it may name."""
    if token is None:
        return "success()"
    bare = token.expression if isinstance(token, Expression) else text(token)
    bare = bare.strip()
    if not bare:
        return "success()"
    try:
        parse(bare, allowed(NOWHERE, names))
    except ExpressionError as error:
        span = places.whole(token.node, problems.sources[token.file - 1], bare, error.position)
        problems.add(token, error.message, "expression", span=span)
        return "success()"
    return normalised(bare)


def steps(token: Token | None, names: str, problems: Problems) -> list[Step]:
    """Return the steps. Their `if` may use `names`."""
    return _Scope(names, problems).read(token) if isinstance(token, SequenceToken) else []


class _Scope:
    """The steps of one job, action or parallel block."""

    def __init__(self, names: str, problems: Problems) -> None:
        self.names = names
        self.problems = problems
        self.ids = Ids()
        self.known: set[str] = set()

    def read(self, token: SequenceToken) -> list[Step]:
        found = [self.step(item) for item in token.items if isinstance(item, MappingToken)]
        for step in found:
            if not step["id"]:
                step["id"] = self.ids.make(f"__{_hint(step)}")
        return found

    def step(self, token: MappingToken) -> Step:
        step: Step = {"id": "", "line": token.line}
        for key, value in token.literal_pairs():
            read = _PARTS.get(key)
            step[key] = data(value) if read is None else read(self, token, value)
        if "run" in step or "uses" in step:
            step.setdefault("if", "success()")
        else:
            step.setdefault("name", next((name for key, (_, name) in _KINDS.items() if key in step), ""))
        return step

    def id(self, _: MappingToken, token: Token) -> str:
        value = text(token)
        if value and (error := self.ids.add(value)):
            self.problems.add(token, error, "invalid-id")
        self.known.add(value)
        return value

    def condition(self, _: MappingToken, token: Token) -> str:
        return condition(token, self.names, self.problems)

    def wait(self, step: MappingToken, token: Token) -> list[str]:
        self.targets(step, token)
        return list(strings(token))

    def wait_all(self, _: MappingToken, token: Token) -> bool:
        if data(token) is False:
            self.problems.add(token, "The value of 'wait-all' must be true or omitted", "invalid-step")
        return True

    def cancel(self, step: MappingToken, token: Token) -> str:
        self.targets(step, token)
        return text(token)

    def targets(self, step: MappingToken, token: Token) -> None:
        own = text(step.get("id"))
        for item in token.items if isinstance(token, SequenceToken) else [token]:
            target = text(item)
            if target.startswith("__"):
                message = f"The identifier '{target}' is invalid. IDs starting with '__' are reserved."
            elif own and target.lower() == own.lower():
                message = f"Step '{own}' cannot reference itself"
            elif target not in self.known:
                message = f"Step references unknown step ID '{target}'"
            else:
                continue
            self.problems.add(item, message, "unknown-step")

    def parallel(self, step: MappingToken, token: Token) -> list[Step]:
        found = steps(token, self.names, self.problems)
        for item in found:
            for key, message in _NOT_IN_PARALLEL.items():
                if key in item:
                    self.problems.add(step, message, "invalid-step")
        return found

    def uses(self, _: MappingToken, token: Token) -> str:
        value = text(token)
        if not value.startswith(("docker://", "./", ".\\", "$/")) and not action_reference(value):
            message = f"Expected format {{org}}/{{repo}}[/path]@ref. Actual '{value}'"
            self.problems.add(token, message, "invalid-uses")
        return value


_PARTS: dict[str, Callable[[_Scope, MappingToken, Token], Any]] = {
    "id": _Scope.id,
    "if": _Scope.condition,
    "wait": _Scope.wait,
    "wait-all": _Scope.wait_all,
    "cancel": _Scope.cancel,
    "parallel": _Scope.parallel,
    "uses": _Scope.uses,
}


def _hint(step: Step) -> str:
    if "uses" in step:
        return step_hint(step["uses"])
    return next((hint for key, (hint, _) in _KINDS.items() if key in step), "run")
