"""Lint: all that the parser says, and rules for what GitHub accepts but bites people. Pure."""

from windlass.workflow.lint.linting import Linted, lint
from windlass.workflow.lint.report import LEVELS, Chosen, as_github, as_json, as_text, choose, summary
from windlass.workflow.lint.rules import RULES, Rule
from windlass.workflow.lint.sarif import as_sarif

__all__ = [
    "LEVELS",
    "RULES",
    "Chosen",
    "Linted",
    "Rule",
    "as_github",
    "as_json",
    "as_sarif",
    "as_text",
    "choose",
    "lint",
    "summary",
]
