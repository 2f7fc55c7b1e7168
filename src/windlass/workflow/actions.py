"""Reading an action file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.syntax import read
from windlass.workflow.grammar.action import ROOT, STEP_IF
from windlass.workflow.model import Action, Input
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.reader import Reader, TooDeepError
from windlass.workflow.reading.steps import steps
from windlass.workflow.reading.tokens import MappingToken, Token, data, template, text

if TYPE_CHECKING:
    from windlass.syntax import Diagnostic

USING = frozenset({"composite", "docker", "node12", "node16", "node20", "node24"})


@dataclass(frozen=True, slots=True)
class ParsedAction:
    """What reading an action file gave: the action unless there are errors, and everything there is to say."""

    action: Action | None
    diagnostics: tuple[Diagnostic, ...] = ()


def parse_action(text: str, path: str) -> ParsedAction:
    """Read an `action.yml`. Never raises: everything that is wrong is in the diagnostics, all at once."""
    problems = Problems()
    file = problems.file(path, text)
    document = read(text, path)
    action = None
    if document.root is None:
        problems.from_yaml(document.diagnostics)
        if not document.diagnostics:
            problems.plain("The file is empty: an action needs `runs`", path, "empty-file")
    else:
        try:
            root = Reader(problems, file).read(document.root, ROOT)
            if isinstance(root, MappingToken) and not problems:
                action = _action(root, path, problems)
        except TooDeepError:
            problems.plain("Maximum object depth exceeded", path, "too-large")
    found = tuple(problem.diagnostic() for problem in problems.found)
    return ParsedAction(None if problems else action, found)


def _action(root: MappingToken, path: str, problems: Problems) -> Action:
    runs = root.get("runs")
    using = _using(runs, problems)
    plain: dict[str, Any] = data(runs)
    if isinstance(runs, MappingToken) and using == "composite":
        plain["steps"] = steps(runs.get("steps"), STEP_IF, problems)
    return Action(
        path,
        text(root.get("name")) or path,
        text(root.get("description")),
        {name: _input(name, token) for name, token in _pairs(root.get("inputs"))},
        {name: template(_part(token, "value")) for name, token in _pairs(root.get("outputs"))},
        using,
        plain,
        dict(plain.get("env") or {}),
    )


def _using(runs: Token | None, problems: Problems) -> str:
    token = _part(runs, "using")
    using = text(token).lower()
    if token is not None and using not in USING:
        message = f"'{text(token)}' is not a kind of action: it is one of {', '.join(sorted(USING))}"
        problems.add(token, message, "unknown-action-kind")
    return using


def _part(token: Token | None, key: str) -> Token | None:
    return token.get(key) if isinstance(token, MappingToken) else None


def _pairs(token: Token | None) -> list[tuple[str, Token]]:
    return list(token.literal_pairs()) if isinstance(token, MappingToken) else []


def _input(name: str, token: Token) -> Input:
    default = _part(token, "default")
    return Input(
        name,
        required=text(_part(token, "required")).lower() == "true",
        default=None if default is None else template(default),
        description=text(_part(token, "description")),
        deprecation=text(_part(token, "deprecationMessage")),
    )
