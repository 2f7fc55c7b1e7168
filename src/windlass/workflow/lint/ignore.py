"""`# windlass: ignore[CODE, CODE]`: findings that somebody has looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.workflow.lint.unit import Finding

_COMMENT = re.compile(r"#\s*windlass:\s*ignore\[([a-z0-9, -]*)\]")

_ALONE = re.compile(r"\s*(-\s+)?#")


class Ignored:
    """The ignore comments of a file. One counts for its own line, and for the next where it stands alone."""

    def __init__(self, source: str) -> None:
        self.codes: dict[int, set[str]] = {}
        if "windlass:" not in source:
            return
        for number, line in enumerate(source.splitlines(), 1):
            for match in _COMMENT.finditer(line):
                codes = {code.strip() for code in match[1].split(",")}
                own = number + 1 if _ALONE.match(line) else number
                for place in {number, own}:
                    self.codes.setdefault(place, set()).update(codes)

    def has(self, finding: Finding) -> bool:
        """Whether a finding is ignored: at its own line, or where the text begins in which it stands."""
        if not self.codes:
            return False
        span = finding.diagnostic.span
        lines = {finding.line, span.line if span else 0}
        return any(finding.diagnostic.code in self.codes.get(line, ()) for line in lines)
