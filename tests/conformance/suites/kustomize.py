"""kustomize's own test cases, built in memory."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.cases import Case, guarded
from windlass.manifests import ManifestError, MemoryTree, read, write
from windlass.manifests.kustomize import build
from windlass.manifests.ordering import legacy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def run(folder: Path) -> Iterable[Case]:
    """Build each case. The order counts, except where the command's own sorted it otherwise."""
    for case in json.loads((folder / "cases.json").read_text()):
        name = f"{case['file']}/{case['test']}"
        yield guarded(name, partial(_one, name, case))


def _one(name: str, case: dict[str, Any]) -> Case:
    expected = [document.value for document in read(case["expected"])]
    try:
        found = build(MemoryTree(case["files"]), case["root"])
    except ManifestError as error:
        return Case(name, False, f"{type(error).__name__}: {error}", write(expected))
    passed = found == expected
    if case["oracle"] == "unordered" and not passed:
        passed = legacy(found) == legacy(expected)
    return Case(name, passed, write(found), write(expected))
