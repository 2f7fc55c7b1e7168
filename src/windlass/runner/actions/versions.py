"""Version ranges as set-up actions write them, npm's and pip's alike; pure."""

from __future__ import annotations

import re

ANY = frozenset({"", "*", "x", "latest", "current", "node", "stable"})
_CLAUSE = re.compile(r"(>=|<=|===?|=|>|<|~=|!=|\^|~)?\s*v?(\d+(?:\.(?:\d+|[xX*]))*)(?:-[0-9A-Za-z.-]+)?\Z")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_SPACED = re.compile(r"(>=|<=|==|=|>|<|~=|!=|\^|~)\s+")

Numbers = tuple[int, ...]


def satisfies(version: str, wanted: str) -> bool:
    """Return whether a version is one that the range asks for: exact, a beginning, `>=a <b`, `^`, `~`, `~=`, `||`.

    What cannot be read is satisfied by nothing.
    """
    mine = numbers(version)
    return any(_all(mine, part.strip()) for part in wanted.split("||"))


def numbers(version: str) -> Numbers:
    """Return the first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0].partition("-")[0])[:3])


def clauses(text: str) -> list[tuple[str, Numbers]] | None:
    """Return the conditions of a range without `||` as operators and bounds; None where it cannot be read."""
    spread = _SPACED.sub(r"\1", _HYPHEN.sub(r">=\1 <=\2", text))
    found = []
    for part in re.split(r"[,\s]+", spread.strip()):
        if part in ANY:
            continue
        match = _CLAUSE.match(part)
        if match is None:
            return None
        bound = tuple(int(number) for number in match[2].split(".") if number.isdecimal())[:3]
        found.append(("==" if match[1] in {None, "=", "==="} else match[1], bound))
    return found


def _all(mine: Numbers, text: str) -> bool:
    read = clauses(text)
    return read is not None and all(_holds(mine, operator, bound) for operator, bound in read)


def _holds(mine: Numbers, operator: str, bound: Numbers) -> bool:
    cut = mine[: len(bound)]
    if operator in {"~=", "^", "~"}:
        kept = kept_of(operator, bound)
        return mine >= bound and mine[:kept] == bound[:kept]
    return {
        ">=": mine >= bound, "<=": cut <= bound, "==": cut == bound, "!=": cut != bound, ">": cut > bound,
        "<": mine < bound,
    }[operator]  # fmt: skip


def kept_of(operator: str, bound: Numbers) -> int:
    """Return how many numbers a version must share with the bound of `^`, `~` or `~=`."""
    if operator == "^":
        return next((at for at, number in enumerate(bound, 1) if number), len(bound))
    if operator == "~=":
        return max(1, len(bound) - 1)
    return min(2, len(bound))


def python_requests(wanted: str) -> list[str]:
    """Return what to ask uv for, the best alternative first: GitHub's way of naming a Python in uv's.

    `3.x`, `3.12`, `3.13-dev`, `3.13t`, `>=3.10 <3.13`, `^3.10`, `3.10 || 3.11`, `pypy3.10`, `graalpy-24.0`.
    """
    parts = [part.strip() for part in wanted.split("||") if part.strip()]
    return [_python_request(part) for part in reversed(parts)] or [""]


def _python_request(text: str) -> str:
    other = re.match(r"(pypy|graalpy)-?v?(\d+(?:\.\d+)*)", text)
    if other:
        return f"{other[1]}@{other[2]}"
    if free := re.fullmatch(r"(\d+(?:\.\d+)*)t(?:-dev)?", text):
        return f"{free[1]}t"
    read = clauses(text)
    if read is None:
        return text
    return ",".join(bounds for operator, bound in read for bounds in _uv_bounds(operator, bound))


def _uv_bounds(operator: str, bound: Numbers) -> list[str]:
    if not bound:
        return []
    text = ".".join(map(str, bound))
    if operator == "==":
        return [text]
    if operator in {"~=", "^", "~"}:
        kept = kept_of(operator, bound)
        after = ".".join(map(str, (*bound[: kept - 1], bound[kept - 1] + 1)))
        return [f">={text}", f"<{after}"]
    if operator in {"<=", ">", "!="} and len(bound) < 3:
        following = ".".join(map(str, (*bound[:-1], bound[-1] + 1)))
        return [{"<=": f"<{following}", ">": f">={following}", "!=": f"!={text}.*"}[operator]]
    return [f"{operator}{text}"]
