"""The catalogue of rules. Each has its section in docs/lint.md under the same code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.syntax import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `severity` is what most of its findings have; a finding may be milder."""

    code: str
    severity: Severity
    title: str
    help: str
    security: bool = False

    @property
    def link(self) -> str:
        """Where the rule is explained, relative to the documentation's root."""
        return f"lint.md#{self.code}"


_ALL = (
    Rule(
        "script-injection",
        "error",
        "Text that strangers choose becomes part of a script",
        'Put the expression into `env:` and use the variable in the script, in quotes: "$TITLE".',
        security=True,
    ),
    Rule(
        "text-in-script",
        "warning",
        "Free text becomes part of a script",
        'Put the expression into `env:` and use the variable in the script, in quotes: "$NAME".',
        security=True,
    ),
    Rule(
        "context-in-script",
        "info",
        "A value from outside becomes part of a script",
        "Put the expression into `env:` and use the variable in the script.",
        security=True,
    ),
    Rule(
        "privileged-checkout",
        "error",
        "A privileged workflow checks out a stranger's code",
        "Use `pull_request` for what builds or tests the code, and keep privileged work in a job without it.",
        security=True,
    ),
    Rule(
        "unpinned-action",
        "warning",
        "A third party's action is not pinned to a commit",
        "Pin it to the full commit: `uses: owner/name@<40 hexadecimal digits> # v1.2.3`.",
        security=True,
    ),
    Rule(
        "secret-in-if",
        "error",
        "A secret stands in a condition, where secrets cannot be read",
        "Set `env: HAS_TOKEN: ${{ secrets.TOKEN != '' }}` at the job and test `env.HAS_TOKEN == 'true'` in a step.",
        security=True,
    ),
    Rule(
        "constant-condition",
        "error",
        "A condition that is always true",
        "Write the whole condition inside one `${{ }}`, or without any.",
    ),
    Rule(
        "unreachable-job",
        "warning",
        "A job that can never run",
        "Change the condition or the triggers, or remove the job.",
    ),
    Rule(
        "unreachable-step",
        "warning",
        "A step that can never run",
        "Change the condition or the triggers, or remove the step.",
    ),
    Rule(
        "unset-output",
        "error",
        "An output that no step sets",
        'Write it in the step: `echo "name=value" >> "$GITHUB_OUTPUT"`.',
    ),
    Rule(
        "unknown-reference",
        "error",
        "An expression names what is not there",
        "Correct the name; what does not exist is silently empty.",
    ),
    Rule(
        "unknown-action",
        "warning",
        "A local action that is not there",
        "Correct the path; it starts at the root of the repository.",
    ),
    Rule(
        "unknown-action-input",
        "warning",
        "An action is given an input that it does not have",
        "Correct the name, or declare the input in the action.",
    ),
    Rule(
        "action-metadata",
        "warning",
        "A key of an action file that GitHub does not know",
        "Correct the key's name, or remove it.",
    ),
    Rule(
        "deprecated-command",
        "warning",
        "A workflow command that GitHub has deprecated or switched off",
        'Write to the file instead: `echo "name=value" >> "$GITHUB_OUTPUT"` (GITHUB_STATE, GITHUB_ENV, GITHUB_PATH).',
    ),
    Rule(
        "deprecated-action",
        "warning",
        "An old version of one of GitHub's own actions",
        "Move to a supported major version.",
    ),
    Rule(
        "deprecated-runner",
        "warning",
        "A runner image that GitHub has removed",
        "Choose an image that exists; on GitHub such a job never starts.",
    ),
)
RULES: dict[str, Rule] = {rule.code: rule for rule in _ALL}
