"""From the token under `jobs:` to jobs."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windlass.workflow.grammar.workflow import JOB_IF, LEG, SCOPES, STEP_IF
from windlass.workflow.matrix import MatrixError, named
from windlass.workflow.model import Job
from windlass.workflow.permissions import all_at
from windlass.workflow.reading.ids import Ids
from windlass.workflow.reading.steps import condition, steps
from windlass.workflow.reading.tokens import (
    Literal,
    MappingToken,
    SequenceToken,
    Token,
    data,
    has_expression,
    strings,
    template,
    text,
)

if TYPE_CHECKING:
    from windlass.workflow.reading.problems import Problems

_NO_START = "The workflow must contain at least one job with no dependencies."
_GROUP_PREFIXES = frozenset({"org", "organization", "ent", "enterprise"})
_HINT = "Please use 'organization/' or 'enterprise/' prefix to target a single runner group."
_MODELLED = frozenset({"name", "needs", "if", "permissions", "steps"})
MAX_GROUP = 400


def permissions(token: Token | None, scopes: tuple[str, ...] = tuple(SCOPES)) -> dict[str, str] | None:
    """Return a `permissions:` map with shorthands spelled out and `none` left out; None where there is none."""
    if token is None:
        return None
    if isinstance(token, MappingToken):
        return {key: text(value) for key, value in token.literal_pairs() if text(value) != "none"}
    return all_at(text(token).removesuffix("-all"), scopes)


def concurrency(token: Token, problems: Problems) -> None:
    """Check a concurrency group as far as it is known before it is evaluated."""
    group = token.get("group") if isinstance(token, MappingToken) else token
    if isinstance(group, Literal) and len(text(group)) > MAX_GROUP:
        problems.add(token, "Concurrency group name must be less than 400 characters", "invalid-concurrency")


class Jobs:
    """Reads the jobs of one file."""

    def __init__(self, problems: Problems, scopes: tuple[str, ...] = tuple(SCOPES), limit: int = 0) -> None:
        self.problems = problems
        self.scopes = scopes
        self.limit = limit

    def read(self, token: Token | None) -> dict[str, Job]:
        """Return the jobs by key, in the order of the file; needs are checked where all else is well."""
        if not isinstance(token, MappingToken):
            return {}
        found: dict[str, Job] = {}
        needs: dict[str, list[Token]] = {}
        for key, value in token.pairs:
            if isinstance(value, MappingToken):
                self._count(key)
                job = self._job(key, value)
                found[job.key] = job
                needs[job.key] = _items(value.get("needs"))
        if not self.problems:
            self._check_needs(token, needs)
        keys = {key.lower(): key for key in found}
        return {
            key: replace(job, needs=tuple(keys.get(need.lower(), need) for need in job.needs))
            for key, job in found.items()
        }

    def _count(self, key: Token) -> None:
        self.problems.jobs += 1
        if self.limit and self.problems.jobs == self.limit + 1:
            message = f"Workflows may not contain more than {self.limit} jobs across all referenced files"
            self.problems.add(key, message, "too-large")

    def _job(self, key: Token, token: MappingToken) -> Job:
        name = text(key)
        if error := Ids().add(name):
            self.problems.add(key, error, "invalid-id")
        for part, value in token.literal_pairs():
            self._check(part, value)
        whole = condition(token.get("if"), JOB_IF, self.problems)
        definition: dict[str, Any] = {
            part: data(value) for part, value in token.literal_pairs() if part not in _MODELLED
        }
        if token.get("steps") is not None:
            definition["steps"] = steps(token.get("steps"), STEP_IF, self.problems)
        uses = token.get("uses")
        return Job(
            name,
            template(token.get("name")) or name,
            strings(token.get("needs")),
            whole,
            definition,
            permissions(token.get("permissions"), self.scopes),
            None if uses is None else text(uses),
            key.line,
        )

    def _check(self, part: str, token: Token) -> None:
        if part == "concurrency":
            concurrency(token, self.problems)
        elif part == "runs-on":
            self._check_group(token)
        elif part == "strategy":
            self._check_strategy(token)
        elif part == "container":
            self._check_image(token, service=False)
        elif part == "services" and isinstance(token, MappingToken) and not has_expression(token):
            for _, value in token.pairs:
                self._check_image(value, service=True)
        elif part == "snapshot":
            self._check_snapshot(token)

    def _check_group(self, token: Token) -> None:
        group = token.get("group") if isinstance(token, MappingToken) else None
        if not isinstance(group, Literal):
            return
        name = text(group)
        parts = name.split("/")
        if len(parts) == 2 and not parts[1]:
            self.problems.add(group, f"Invalid runs-on group name '{name}'.", "invalid-group")
        elif len(parts) > 2 or (len(parts) == 2 and parts[0] not in _GROUP_PREFIXES):
            self.problems.add(group, f"Invalid runs-on group name '{name}'. {_HINT}", "invalid-group")

    def _check_strategy(self, token: Token) -> None:
        matrix = token.get("matrix") if isinstance(token, MappingToken) else None
        if not isinstance(matrix, MappingToken):
            return
        dynamic = False
        for key, value in matrix.pairs:
            if has_expression(key) or has_expression(value):
                dynamic = True
            elif text(key) not in {"include", "exclude"} and not _items(value):
                message = f"Matrix vector '{text(key)}' does not contain any values"
                self.problems.add(value, message, "invalid-matrix")
                dynamic = True
        if dynamic:
            return
        try:
            named(data(matrix))
        except MatrixError as error:
            self.problems.add(_descend(matrix, error.path), str(error), "invalid-matrix")

    def _check_image(self, token: Token, *, service: bool) -> None:
        if has_expression(token):
            return
        image = token.get("image") if isinstance(token, MappingToken) else token
        name = text(image)
        if not name.removeprefix("docker://") and (name or service):
            self.problems.add(token, "Container image cannot be empty", "empty-image")

    def _check_snapshot(self, token: Token) -> None:
        if not isinstance(token, MappingToken):
            return
        if token.get("if") is not None:
            condition(token.get("if"), f"{LEG} {JOB_IF}", self.problems)
        version = token.get("version")
        major, dot, rest = text(version).partition(".")
        if isinstance(version, Literal) and not (dot and rest == "*" and major.isascii() and major.isdigit()):
            message = f"Expected format '{{major-version}}.*' Actual '{text(version)}'"
            self.problems.add(token, message, "invalid-snapshot")

    def _check_needs(self, token: MappingToken, needs: dict[str, list[Token]]) -> None:
        names = {name.lower() for name in needs}
        open_ = {name: list(items) for name, items in needs.items() if items}
        ready = deque(name for name, items in needs.items() if not items)
        if not ready:
            self.problems.add(token, _NO_START, "needs-cycle")
            return
        while ready:
            done = ready.popleft().lower()
            for name, items in list(open_.items()):
                items[:] = [item for item in items if text(item).lower() != done]
                if not items:
                    del open_[name]
                    ready.append(name)
        for name, items in open_.items():
            for item in items:
                need = text(item)
                if need.lower() in names:
                    message = (
                        f"Job '{name}' depends on job '{need}' which creates a cycle in the dependency graph."
                    )
                    self.problems.add(item, message, "needs-cycle")
                else:
                    self.problems.add(item, f"Job '{name}' depends on unknown job '{need}'.", "unknown-job")


def _items(token: Token | None) -> list[Token]:
    if isinstance(token, SequenceToken):
        return token.items
    return [] if token is None else [token]


def _descend(token: Token, path: tuple[str | int, ...]) -> Token:
    """Return the token at the end of a path; for a path that ends in an item's key, the key itself."""
    for step in path:
        if isinstance(token, MappingToken):
            for key, value in token.pairs:
                if text(key) == step:
                    token = key if step == path[-1] and len(path) > 2 else value
                    break
        elif isinstance(token, SequenceToken) and isinstance(step, int):
            token = token.items[step]
    return token
