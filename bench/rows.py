"""What was measured, as plain records, and the file they are written to."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Better = Literal["less", "more"]
DIGITS = 4


class SkippedError(Exception):
    """A part of the benchmark cannot run on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its reference, both in `unit`, both medians of `runs` measurements unless `name` says p95.

    `reference_is` says what the reference is, `includes` what is in our figure. `ratio` is ours / reference.
    `ours_range` and `reference_range` are the smallest and the largest measurement. `target` is what ours is to
    reach on an idle machine, and `met` whether it did; both are None where there is none.
    """

    name: str
    unit: str
    ours: float
    reference: float
    reference_is: str
    ratio: float
    runs: int
    better: Better
    includes: str
    ours_range: tuple[float, float]
    reference_range: tuple[float, float]
    target: float | None = None
    met: bool | None = None


@dataclass
class Report:
    """All rows of one run of the benchmark, what was left out or went wrong and why, and the machine."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, file: Path) -> None:
        """Write it as JSON; the folder is made."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def row(
    name: str,
    unit: str,
    ours: Sequence[float],
    reference: Sequence[float],
    *,
    reference_is: str,
    includes: str,
    better: Better = "less",
    quantile: float = 0.5,
    target: float | None = None,
) -> Row:
    """Make a row of two series of measurements. Raises ValueError where a series is empty."""
    if not ours or not reference:
        raise ValueError(f"{name}: nothing was measured")
    mine, theirs = at(ours, quantile), at(reference, quantile)
    return Row(
        name=name,
        unit=unit,
        ours=rounded(mine),
        reference=rounded(theirs),
        reference_is=reference_is,
        ratio=rounded(mine / theirs),
        runs=len(ours),
        better=better,
        includes=includes,
        ours_range=(rounded(min(ours)), rounded(max(ours))),
        reference_range=(rounded(min(reference)), rounded(max(reference))),
        target=target,
        met=None if target is None else (mine <= target if better == "less" else mine >= target),
    )


def at(values: Sequence[float], quantile: float) -> float:
    """Return the value that this part of the measurements does not exceed; the usual median for 0.5."""
    if quantile == 0.5:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(quantile * len(ordered)) - 1)]


def rounded(value: float) -> float:
    """Round to four significant digits: more than a busy machine can tell."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, max(0, DIGITS - 1 - math.floor(math.log10(abs(value)))))
