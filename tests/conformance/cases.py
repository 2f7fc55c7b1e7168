"""What a suite hands to the runner: one value for each published case."""

from __future__ import annotations

import difflib
import json
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `id` is `FILE/GROUP/INDEX` or `FILE`; `expected` is shown where it failed."""

    id: str
    passed: bool
    result: Any
    expected: Any = None

    def difference(self, lines: int = 12) -> str:
        """Return a short diff from what was expected to what came out."""
        diff = difflib.unified_diff(
            _lines(self.expected), _lines(self.result), "expected", "result", "", "", 1
        )
        shown = [line.rstrip("\n") for line in diff][2:]
        return "\n".join(shown[:lines] + (["…"] if len(shown) > lines else []))


def guarded(case_id: str, make: Callable[[], Case]) -> Case:
    """Return the case, or one that failed with the exception: a crash in one case hides none of the others."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 whatever it is, it is this case's result
        where = traceback.extract_tb(error.__traceback__)[-1]
        result = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        return Case(case_id, passed=False, result=result, expected="a case that does not crash")


def _lines(value: Any) -> list[str]:
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, indent=1, ensure_ascii=False, default=str, sort_keys=True)
    )
    return text.splitlines()
