"""Argo CD's health cases: a live object each."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from conformance.cases import Case, guarded
from windlass.manifests import health, read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def run(folder: Path) -> Iterable[Case]:
    """Ask for the health of each object."""
    for name, expected in json.loads((folder / "expected.json").read_text()).items():
        yield guarded(name, partial(_one, folder / name, expected))


def _one(path: Path, expected: str) -> Case:
    found = health(read(path.read_bytes(), path.name)[0].value)
    result = found.status if found else "no check"
    return Case(path.name, result == expected, result, expected)
