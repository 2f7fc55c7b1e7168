"""Coverage reports: what they say, and the gate that a codecov.yml sets; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from windlass.runner.errors import StepError

NAMES = (
    "coverage.xml", "*coverage*.xml", "cobertura*.xml", "coverage.json", "coverage-*.json", "lcov.info", "*.lcov",
)  # fmt: skip
"""What reports are called that nobody named."""
CONFIGURATIONS = ("codecov.yml", ".codecov.yml", "codecov.yaml", ".codecov.yaml", ".github/codecov.yml")
_ROOT = re.compile(r"<coverage\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_FOUND = re.compile(r"^LF:(\d+)\s*$", re.MULTILINE)
_HIT = re.compile(r"^LH:(\d+)\s*$", re.MULTILINE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*%?\Z")


@dataclass(frozen=True, slots=True)
class Lines:
    """How many lines a report covers of how many; of none known, only the share counts."""

    covered: float
    valid: float

    @property
    def percent(self) -> float:
        """The share in per cent."""
        return round(100 * self.covered / self.valid, 2) if self.valid else 0.0


@dataclass(frozen=True, slots=True)
class Gate:
    """The least coverage in per cent, where it says so, and whether less of it fails the step."""

    minimum: float
    place: str
    informational: bool = False


def read(name: str, text: str) -> Lines | None:
    """Return what a report says: Cobertura's XML, coverage.py's JSON, LCOV. None where it is none of these."""
    if text.lstrip().startswith("<"):
        return _xml(text)
    if text.lstrip().startswith("{"):
        return _json(text)
    found, hit = (sum(map(int, form.findall(text))) for form in (_FOUND, _HIT))
    return Lines(hit, found) if name.endswith((".info", ".lcov")) and found else None


def together(reports: list[Lines]) -> Lines:
    """Return the sum."""
    return Lines(sum(one.covered for one in reports), sum(one.valid for one in reports))


def _xml(text: str) -> Lines | None:
    """Read the first element only: an XML parser is no place for what a job wrote."""
    root = _ROOT.search(text[: 1 << 16])
    if root is None:
        return None
    said = dict(_ATTRIBUTE.findall(root[1]))
    try:
        if int(said.get("lines-valid") or 0):
            return Lines(int(said["lines-covered"]), int(said["lines-valid"]))
        return Lines(float(said["line-rate"]), 1.0) if said.get("line-rate") else None
    except (KeyError, ValueError):
        return None


def _json(text: str) -> Lines | None:
    try:
        totals = json.loads(text).get("totals") or {}
        statements = totals.get("num_statements")
        if statements:
            return Lines(float(totals["covered_lines"]), float(statements))
        return Lines(float(totals["percent_covered"]), 100.0) if "percent_covered" in totals else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def gate(name: str, text: str) -> Gate | None:
    """Return the gate of a codecov.yml: `coverage.status.project`, its `target` and `threshold` in per cent.

    None where there is none, or where it compares with an earlier commit (`target: auto`). Raises `StepError`.
    """
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise StepError(f"{name}: aliases are not read here")
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise StepError(f"{name} cannot be read: {error}") from None
    project = _below(data, "coverage", "status", "project")
    wanted = project.get("default", project) if isinstance(project, dict) else {}
    if (
        not isinstance(wanted, dict)
        or wanted.get("target") in {None, "auto"}
        or wanted.get("enabled") is False
    ):
        return None
    least = _percent(name, "target", wanted["target"]) - _percent(
        name, "threshold", wanted.get("threshold") or 0
    )
    return Gate(round(least, 2), f"{name}: coverage.status.project", bool(wanted.get("informational")))


def _below(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _percent(name: str, key: str, value: object) -> float:
    found = _NUMBER.match(str(value).strip())
    if not found:
        raise StepError(
            f"{name}: coverage.status.project.{key}: {value!r} is neither a number, per cent nor auto"
        )
    return float(found[1])
