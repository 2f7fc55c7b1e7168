"""Follows text from outside through an expression, and through `env`, job outputs and the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from windlass.workflow.expressions.nodes import Call, Compare, Index, Literal, Logic, Node, Not
from windlass.workflow.lint.paths import path_of
from windlass.workflow.lint.unit import child, pairs, sites
from windlass.workflow.lint.untrusted import Trust, possible, trust, trust_whole
from windlass.workflow.lint.words import words
from windlass.workflow.reading.tokens import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windlass.workflow.lint.unit import Job, Step, Unit
    from windlass.workflow.reading.tokens import Token

_MAX_HOPS = 6
_NO_TEXT = words("contains startswith endswith hashfiles success failure always cancelled")
_CHOSEN = frozenset({"boolean", "number", "choice", "environment"})


class Taint(NamedTuple):
    """The worst text in a value, what it is called, and by which way it came."""

    trust: Trust
    path: str = ""
    way: str = ""


CLEAN = Taint(Trust.SAFE)


class Tracer:
    """Knows where names lead in one job (and step) of a file."""

    def __init__(self, unit: Unit, job: Job, step: Step | None = None, hops: int = 0) -> None:
        self.unit = unit
        self.job = job
        self.step = step
        self.hops = hops

    def of(self, node: Node, *, whole: bool = False) -> Taint:
        """Return the worst text that the value of an expression can hold. `whole`: objects are written out."""
        path = path_of(node)
        if path is not None:
            return self.name(path, whole=whole)
        if isinstance(node, (Literal, Compare, Not)):
            return CLEAN
        if isinstance(node, Logic):  # `a && b` is b, or an a that is empty
            values = node.operands if node.stop else node.operands[-1:]
            return worst(self.of(value, whole=whole) for value in values)
        if isinstance(node, Index):  # of a call: fromJSON(...).x
            return self.of(node.of, whole=True)
        return self.call(node) if isinstance(node, Call) else CLEAN

    def call(self, node: Call) -> Taint:
        """Return the worst in a function's result."""
        name = node.name.lower()
        if name in _NO_TEXT:
            return CLEAN
        arguments = node.arguments
        if name == "case":
            arguments = (*node.arguments[1:-1:2], *node.arguments[-1:])
        return worst(self.of(argument, whole=name in {"tojson", "join"}) for argument in arguments)

    def name(self, path: str, *, whole: bool) -> Taint:
        """Return what a dotted path leads to."""
        context, _, rest = path.partition(".")
        if context == "github":
            return self.github(path, whole=whole)
        if context == "inputs":
            return self.input(rest)
        return self.hop(context, rest) if rest and self.hops < _MAX_HOPS else CLEAN

    def hop(self, context: str, rest: str) -> Taint:
        """Return what the file itself puts into a context."""
        key = rest.split(".", maxsplit=1)[0]
        if context == "env":
            return self.env(key)
        if context == "matrix":
            return self.through(child(self.job.token, "strategy", "matrix", key), self.job, f"matrix.{key}")
        if context == "needs" and len(parts := rest.split(".")) == 3 and parts[1] == "outputs":
            needed = self.unit.jobs.get(parts[0])
            return self.through(needed.outputs.get(parts[2]), needed, f"needs.{rest}") if needed else CLEAN
        return CLEAN

    def github(self, path: str, *, whole: bool) -> Taint:
        """Classify a property of the `github` context."""
        if path.startswith("github.event.inputs.") and not whole:
            return self.input(path.split(".")[3])
        if not possible(path, self.unit.events):
            return CLEAN
        found = trust_whole(path) if whole else trust(path)
        if whole and path in {"github", "github.event"} and self.trusted_events():
            found = min(found, Trust.TEXT)
        return Taint(found, path) if found else CLEAN

    def trusted_events(self) -> bool:
        """Whether only those start it who may write, so that the event holds no stranger's text."""
        events = self.unit.events
        return events is not None and events <= {"workflow_dispatch", "schedule", "repository_dispatch"}

    def input(self, name: str) -> Taint:
        """Classify an input by its declared type."""
        if not name:
            return CLEAN
        on = self.unit.root.get("on")
        declared = [child(on, event, "inputs", name) for event in ("workflow_dispatch", "workflow_call")]
        kinds = [text(child(item, "type")) for item in declared if item is not None]
        if kinds and all(kind in _CHOSEN for kind in kinds):
            return CLEAN
        return Taint(Trust.SHAPED, f"inputs.{name}")

    def env(self, name: str) -> Taint:
        """Follow a variable to where the file sets it, the innermost first."""
        maps = [self.step.token.get("env") if self.step else None, self.job.token.get("env")]
        if not self.unit.is_action:
            maps.append(self.unit.root.get("env"))
        for token in maps:
            for key, value in pairs(token):
                if key.lower() == name:
                    return self.through(value, self.job, f"env.{key}")
        return CLEAN

    def through(self, token: Token | None, job: Job, way: str) -> Taint:
        """Follow one hop."""
        if token is None:
            return CLEAN
        tracer = Tracer(self.unit, job, None, self.hops + 1)
        found = worst(tracer.of(site.tree) for site in sites(token))
        return found._replace(way=way) if found.trust else CLEAN


def worst(taints: Iterable[Taint]) -> Taint:
    """Return the worst one, the first of equals."""
    return max(taints, key=lambda taint: taint.trust, default=CLEAN)
