"""Built-in actions wait out a restart of the server: what can be asked twice is asked again."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from windlass.runner.errors import StepError
from windlass.runner.jobapi import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from windlass.runner.actions.base import ActionRun

PAUSE = 0.5
AWAY = re.compile(
    r"failed to connect|couldn't connect|connection refused|connection reset|broken pipe|recv failure|empty reply|"
    r"\bEOF\b|unexpected disconnect|hung up unexpectedly|transfer closed|(error|status)[^\n]{0,20}: 50[234]",
    re.IGNORECASE,
)
"""How git and engines say that the server went away, or is not there."""


class Patience:
    """How long to ask again, from the first time that nobody answers. `limit` in seconds."""

    def __init__(self, say: Callable[[str], None], limit: float = PATIENCE) -> None:
        self._say = say
        self._limit = limit
        self._until = 0.0

    def lasts(self, words: str) -> bool:
        """Whether a failure with these words is one to wait out; says so and pauses before it returns True."""
        if not AWAY.search(words):
            return False
        now = time.monotonic()
        self._until = self._until or now + self._limit
        if now >= self._until:
            return False
        self._say(f"The server does not answer; it is asked again, for {self._until - now:.0f} s at most.")
        time.sleep(PAUSE)
        return True


def converse(
    run: ActionRun, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], quiet: bool = False
) -> str:
    """Run a program that asks the server for something, and return what it prints.

    Raises `StepError` where it fails for another reason than that the server is away, or is away for too long.
    """
    if not quiet:
        run.say(f"[command]{' '.join(argv)}")
    patience = Patience(run.say)
    while True:
        code, text = run.hear(argv, cwd=cwd, env=env, shown=not quiet)
        if code == 0:
            return text
        if not patience.lasts(text):
            words = f": {text.strip()[-2000:]}" if quiet else "."
            raise StepError(f"{argv[0]} ended with exit code {code}{words}")
