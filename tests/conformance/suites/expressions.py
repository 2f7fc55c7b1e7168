"""GitHub's published cases of the expression language."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.cases import Case, guarded
from windlass.workflow.expressions import ExpressionError, Scope, evaluate
from windlass.workflow.expressions.values import kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MEMORY = 1024 * 1024  # the limit under which the cases of this data were written


def run(folder: Path) -> Iterable[Case]:
    """Evaluate each case. An error passes where the published text is the start of ours."""
    for path in sorted(folder.glob("*.json")):
        for group, cases in json.loads(path.read_text()).items():
            for index, case in enumerate(cases):
                name = f"{path.name}/{group}/{index}"
                yield guarded(name, partial(_one, name, case))


def _one(case_id: str, case: dict[str, Any]) -> Case:
    expected = {"err": case["err"]} if "err" in case else {"result": case["result"]}
    try:
        value = evaluate(case["expr"], Scope(case.get("contexts") or {}, limit=MEMORY))
    except ExpressionError as error:
        result: dict[str, Any] = {"err": {"kind": error.kind, "value": error.message}}
    else:
        result = {"result": {"kind": kind(value), "value": value}}
    return Case(case_id, _same(expected, result), result, expected)


def _same(expected: dict[str, Any], result: dict[str, Any]) -> bool:
    if "err" in expected and "err" in result:
        wanted, got = expected["err"], result["err"]
        return bool(wanted["kind"] == got["kind"] and got["value"].startswith(wanted["value"]))
    if "result" in expected and "result" in result:
        wanted, got = expected["result"], result["result"]
        return bool(wanted["kind"] == got["kind"] and _equal(wanted["value"], got["value"]))
    return False


def _equal(wanted: Any, got: Any) -> bool:
    if isinstance(got, float) and not math.isfinite(got):
        return str(wanted) == {math.inf: "Infinity", -math.inf: "-Infinity"}.get(got, "NaN") or (
            wanted is None or wanted == got
        )
    return bool(wanted == got)
