"""The page about actions, made from what the built-in ones say of themselves.

python -m windlass.runner.actions.describe > docs/actions.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.runner.actions.builtin import ACTIONS

if TYPE_CHECKING:
    from windlass.runner.actions.base import Action, Input

_HEAD = Path(__file__).with_name("page.md")
_WORDS = {"yes": "yes", "warn": "warning", "error": "error"}


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join(
        [
            _HEAD.read_text("utf-8"),
            *(section(action) for action in sorted(ACTIONS, key=lambda one: one.names)),
        ]
    )


def section(action: Action) -> str:
    """Return one action's part of it."""
    lines = [f"### {', '.join(action.names)}", "", action.about, ""]
    if action.has_post:
        lines += ["Has a post step.", ""]
    if action.inputs:
        lines += ["| input | default | honoured | |", "| --- | --- | --- | --- |"]
        lines += [_row(spec) for spec in action.inputs]
        lines.append("")
    if action.outputs:
        lines += [
            "Outputs: " + "; ".join(f"`{name}` ({about})" for name, about in action.outputs.items()) + ".",
            "",
        ]
    return "\n".join(lines)


def _row(spec: Input) -> str:
    default = f"`{spec.default!r}`".replace("'", "") if spec.default else "required" if spec.required else ""
    return f"| `{spec.name}` | {default} | {_WORDS[spec.honour]} | {spec.about} |"


if __name__ == "__main__":
    sys.stdout.write(page())
