r"""GitHub's filter patterns for branches, tags and paths.

`*` matches anything but `/`, `**` anything, `?` none or one of the character before it, `+` one or more of it,
`[]` one of a set; a `\\` takes the next character as it is. A pattern that begins with `!` takes back what
patterns before it matched.

Patterns come from whoever may push, names too: matching takes time in proportion to pattern times name,
whatever they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SAFE_STARS = 2  # with more of them, backtracking could take its time


@dataclass(frozen=True, slots=True)
class _Atom:
    """What one place of a pattern takes: characters matched by `regex`, how often."""

    regex: str
    optional: bool = False
    repeated: bool = False
    skip: int = 1  # how many atoms an optional one leaves out

    @property
    def written(self) -> str:
        """The atom as a regular expression, apart from skipping more than itself."""
        quantifier = {(False, False): "", (True, False): "?", (False, True): "+", (True, True): "*"}
        return self.regex + quantifier[self.optional, self.repeated]


_GATE = _Atom("(?!)", optional=True, skip=3)  # stands before `**` and `/`, which may be left out together


def _atoms(pattern: str) -> list[_Atom]:
    found: list[_Atom] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if pattern.startswith("**/", index) and (index == 0 or pattern[index - 1] == "/"):
            found += [_GATE, _Atom(".", optional=True, repeated=True), _Atom("/")]
            index += 3
            continue
        if pattern.startswith("**", index):
            found.append(_Atom(".", optional=True, repeated=True))
            index += 2
            continue
        if char in "?+" and found and not (found[-1].optional or found[-1].repeated):
            found[-1] = _Atom(found[-1].regex, optional=char == "?", repeated=char == "+")
        elif char == "*":
            found.append(_Atom("[^/]", optional=True, repeated=True))
        elif char == "[" and (end := pattern.find("]", index + 2)) > 0:
            found.append(_Atom(_set(pattern[index + 1 : end])))
            index = end
        elif char == "\\" and index + 1 < len(pattern):
            index += 1
            found.append(_Atom(re.escape(pattern[index])))
        else:
            found.append(_Atom(re.escape(char)))
        index += 1
    return found


def _set(inner: str) -> str:
    written = "[" + re.escape(inner).replace(r"\-", "-") + "]"
    try:
        re.compile(written)
    except re.error:  # such as [z-a]
        return re.escape(inner[0])
    return written


class _Matcher:
    """A pattern, compiled. Where it has few wildcards a regular expression is fast and safe."""

    def __init__(self, pattern: str) -> None:
        atoms = _atoms(pattern)
        self.fast: re.Pattern[str] | None = None
        self.steps: list[tuple[re.Pattern[str], _Atom]] = []
        if sum(atom.optional or atom.repeated for atom in atoms if atom is not _GATE) <= _SAFE_STARS:
            self.fast = re.compile(_written(atoms), re.DOTALL)
        else:
            self.steps = [(re.compile(atom.regex, re.DOTALL), atom) for atom in atoms]

    def matches(self, name: str) -> bool:
        if self.fast is not None:
            return self.fast.fullmatch(name) is not None
        places = self.closed({0})
        for char in name:
            places = self.closed(self.after(places, char))
            if not places:
                return False
        return len(self.steps) in places

    def after(self, places: set[int], char: str) -> set[int]:
        """Return the places in the pattern where one may stand after a character."""
        found: set[int] = set()
        for place in places:
            if place < len(self.steps):
                takes, atom = self.steps[place]
                if takes.match(char):
                    found.add(place + 1)
                    if atom.repeated:
                        found.add(place)
        return found

    def closed(self, places: set[int]) -> set[int]:
        """Add the places that are reached by leaving out optional atoms."""
        open_ = list(places)
        while open_:
            place = open_.pop()
            if place < len(self.steps) and (atom := self.steps[place][1]).optional:
                for reached in {place + 1, place + atom.skip}:
                    if reached not in places:
                        places.add(reached)
                        open_.append(reached)
        return places


def _written(atoms: Sequence[_Atom]) -> str:
    made = ""
    for index, atom in enumerate(atoms):
        made += "(?:" if atom is _GATE else atom.written
        if index > 1 and atoms[index - 2] is _GATE:
            made += ")?"
    return made


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Matcher:
    return _Matcher(pattern)


def matches(name: str, pattern: str) -> bool:
    """Return whether a name matches one pattern (without its `!`)."""
    return _compiled(pattern).matches(name)


def included(name: str, patterns: Sequence[str]) -> bool:
    """Return whether the last pattern that matches the name is not a negative one."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if found and matches(name, pattern[1:]):
                found = False
        elif not found and matches(name, pattern):
            found = True
    return found


def any_included(names: Iterable[str], patterns: Sequence[str]) -> bool:
    """Return whether one of the names is included."""
    return any(included(name, patterns) for name in names)
