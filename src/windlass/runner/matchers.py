"""Find the errors in a step's output: the job's own problem matchers, and what Python's tools print.

What is built in looks at the log once the step is over, and for errors only where it failed: a test that
passes may well print a traceback. A matcher of the job's own looks at every line as it comes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 10  # annotations of one level for one step, as on GitHub
_LINE_LIMIT = 4096
_TAIL = 60
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HINTS = (b"E  ", b".py:", b"Error", b"FAILED ", b" --> ", b"error", b"Traceback", b"Failed", b"Exception")
_PYTEST_PLACE = re.compile(r"^([^\s:]+\.py):(\d+): (\w*(?:Error|Exception|Failed|Exit|Warning)\w*)$")
_PYTEST_SUMMARY = re.compile(r"^(?:FAILED|ERROR) ([^\s:]+\.py)\S*(?: - (.*))?$")
_COMPILER = re.compile(r"^([^\s:]+\.\w+):(\d+):(?:(\d+):)? (?:(?:fatal )?error: )?([A-Z]{1,4}\d{2,4} .*|.*)$")
_IS_ERROR = re.compile(r"\berror: |^[A-Z]{1,4}\d{2,4} ")
_RUFF_RULE = re.compile(r"^(?:error\[)?([A-Z]{1,4}\d{2,4}|invalid-syntax)(?:\])?:? (?:\[\*\] )?(.+)$")
_ARROW = re.compile(r"^\s*--> ([^\s:]+):(\d+):(\d+)$")
_FRAME = re.compile(r'^\s+File "([^"]+)", line (\d+)')
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)\b.*$")
_TELLING = re.compile(r"(?i)\b(?:\w*error|\w*exception|fatal|failed|cannot|not found|no such)\b")
_COVERAGE = re.compile(rb"^TOTAL\s+\d.*?\s(\d+(?:\.\d+)?)%\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One error, warning or notice, at a place if that is known; lines and columns from 1, 0 for none."""

    message: str
    level: str = "error"
    file: str = ""
    line: int = 0
    column: int = 0
    title: str = ""


class Findings:
    """What the output of one step shows by the job's own matchers, as it comes."""

    def __init__(self, matchers: dict[str, Matcher]) -> None:
        self._matchers = matchers
        self.matched: list[Finding] = []

    def scan(self, block: bytes) -> None:
        """Look through whole lines, before secrets are hidden in them."""
        if not self._matchers:
            return
        for raw in block.removesuffix(b"\n").split(b"\n"):
            line = _COLOUR.sub("", raw[:_LINE_LIMIT].decode("utf-8", "replace"))
            for matcher in self._matchers.values():
                if len(self.matched) < LIMIT and (found := matcher.feed(line)):
                    self.matched.append(found)


def coverage_of_report(text: bytes) -> float | None:
    """Return the percentage in the last line of coverage.py's report in a step's log."""
    totals = _COVERAGE.findall(text) if b"TOTAL" in text else []
    return float(totals[-1]) if totals else None


class FirstErrors:
    """What the log of a failed step shows of Python's tools and of compilers."""

    def __init__(self) -> None:
        self._places: list[Finding] = []
        self._summaries: list[Finding] = []
        self._assertion = ""
        self._rule = ""
        self._frame: tuple[str, int] | None = None
        self._traceback = False
        self._tail: list[str] = []

    def read(self, blocks: Iterable[bytes]) -> list[Finding]:
        """Look through blocks of whole lines; return the first errors, at least the most telling line."""
        for block in blocks:
            lines = _COLOUR.sub("", block.decode("utf-8", "replace")).splitlines()
            self._tail = [*self._tail, *lines][-_TAIL:]
            if any(hint in block for hint in _HINTS):
                for line in lines:
                    self._python(line[:_LINE_LIMIT])
            if len(self._places) >= LIMIT:
                break
        return (self._places or self._summaries or self._telling())[:LIMIT]

    def _python(self, line: str) -> None:
        if line.startswith("E  ") and not self._assertion:
            self._assertion = line[1:].strip()
        elif place := _PYTEST_PLACE.match(line):
            self._add(self._assertion or place[3], place[1], int(place[2]))
            self._assertion = ""
        elif summary := _PYTEST_SUMMARY.match(line):
            self._summaries.append(Finding(summary[2] or "failed", file=summary[1]))
        elif arrow := _ARROW.match(line):
            if self._rule:
                self._add(self._rule, arrow[1], int(arrow[2]), int(arrow[3]))
            self._rule = ""
        elif (rule := _RUFF_RULE.match(line)) and " " in line:
            self._rule = f"{rule[1]} {rule[2]}"
        elif (compiler := _COMPILER.match(line)) and _IS_ERROR.search(
            line[line.index(":") :].lstrip(":0123456789 ")
        ):
            self._add(compiler[4], compiler[1], int(compiler[2]), int(compiler[3] or 0))
        else:
            self._trace(line)

    def _trace(self, line: str) -> None:
        if line.startswith("Traceback (most recent call last)"):
            self._traceback, self._frame = True, None
        elif self._traceback and (frame := _FRAME.match(line)):
            self._frame = (frame[1], int(frame[2]))
        elif self._traceback and _RAISED.match(line):
            file, at = self._frame or ("", 0)
            self._add(line, file, at)
            self._traceback = False

    def _add(self, message: str, file: str, line: int, column: int = 0) -> None:
        if len(self._places) < LIMIT:
            self._places.append(Finding(message[:2000], file=file, line=line, column=column))

    def _telling(self) -> list[Finding]:
        said = without_header(self._tail)
        telling = [line.strip() for line in said if _TELLING.search(line[:_LINE_LIMIT])]
        return [Finding(telling[0][:500])] if telling else []


def without_header(lines: list[str]) -> list[str]:
    """Leave out the group at the beginning of a step's log that repeats what the workflow file says."""
    end = next((at for at, line in enumerate(lines) if line == "##[endgroup]"), -1)
    inner = any(line.startswith("##[group]") for line in lines[1 : max(end, 1)])
    return lines if inner else lines[end + 1 :]


class Matcher:
    """One problem matcher as `::add-matcher::` names it: one regular expression, or several for lines in a row."""

    def __init__(self, owner: str, severity: str, patterns: list[dict[str, Any]]) -> None:
        self.owner = owner
        self._severity = severity or "error"
        self._patterns = [(re.compile(item["regexp"]), item) for item in patterns]
        self._at = 0
        self._known: dict[str, str] = {}

    def feed(self, line: str) -> Finding | None:
        """Take the next line; return a finding when the last pattern matched."""
        expression, fields = self._patterns[self._at]
        found = expression.search(line)
        if found is None:
            restart = self._at > 0
            self._at, self._known = 0, {}
            return self.feed(line) if restart else None
        values = dict(self._known)
        for name in ("file", "fromPath", "line", "column", "severity", "code", "message"):
            if isinstance(group := fields.get(name), int):
                values[name] = (found[group] or "") if group <= len(found.groups()) else ""
        if self._at + 1 < len(self._patterns):
            self._at, self._known = self._at + 1, values
            return None
        if not fields.get("loop"):
            self._at, self._known = 0, {}
        return self._finding(values)

    def _finding(self, values: dict[str, str]) -> Finding:
        severity = (values.get("severity") or self._severity).lower()
        made = Finding(
            values.get("message", ""),
            level=severity if severity in {"error", "warning", "notice"} else "error",
            file=values.get("file", ""),
            line=_number(values.get("line")),
            column=_number(values.get("column")),
        )
        return replace(made, title=values["code"]) if values.get("code") else made


def read_matchers(text: str) -> list[Matcher]:
    """Read a problem matcher file. Raises `ValueError` with the reason where it is not one."""
    try:
        listed = json.loads(text)["problemMatcher"]
        return [
            Matcher(str(item["owner"]), str(item.get("severity", "")), item["pattern"]) for item in listed
        ]
    except (KeyError, TypeError, re.error) as error:
        raise ValueError(f"not a problem matcher: {error!r}") from error


def coverage_of_xml(head: bytes) -> float | None:
    """Return the percentage that a coverage.xml states in its first element."""
    found = re.search(rb'<coverage[^>]*\bline-rate="([0-9.]+)"', head)
    return round(float(found[1]) * 100, 2) if found else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
