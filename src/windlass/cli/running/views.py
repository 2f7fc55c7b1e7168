"""The three views of a run that goes on, each a context manager that takes events."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Self

from windlass.cli.running.model import Event, Model, heading

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType
    from rich.live import Live


SHOWN = 15
"""Lines of the failed step above a shell."""
PATIENCE = 2.0
MIN_FINAL = 30
"""Lines that the last tree may always have."""


class View:
    """What all have in common: what is known, and nothing to say of it."""

    def __init__(self) -> None:
        self.model = Model()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def tell(self, event: Event) -> None:
        """Take an event in."""
        self.model.apply(event)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how all of it ended, unless it never began."""
        if kind is None and self.model.runs:
            self.end()

    def end(self) -> None:
        """Say how it ended."""

    def shell(self, asked: Event, master: int) -> None:
        """Lend the terminal to a shell where a step has failed. Called in a thread of its own."""
        from windlass.cli.running.terminal import lend

        sys.stdout.write(
            f"\n── {asked['name']} / {asked['step']} failed. A shell in its sandbox, in {asked['directory']}; "
            "`exit` lets the job go on.\n"
        )
        sys.stdout.flush()
        lend(master)
        sys.stdout.write("── the job goes on\n")
        sys.stdout.flush()


class JsonView(View):
    """One event a line."""

    def tell(self, event: Event) -> None:
        """Write it."""
        if event["kind"] != "paused":
            sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
        if event["kind"] != "log":
            sys.stdout.flush()


class PlainView(View):
    """Lines with the job and the step that they come from."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__()
        from windlass.cli.running.plain import Plain

        self._plain = Plain(self._write, verbose=verbose)
        self.model = self._plain.model

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    def tell(self, event: Event) -> None:
        """Write what it means."""
        self._plain.tell(event)
        if event["kind"] != "log":
            sys.stdout.flush()

    def end(self) -> None:
        """Say how it ended."""
        from windlass.cli.looks import console
        from windlass.cli.running.ending import show

        show(console(), self.model)


class TreeView(View):
    """The live tree, and what is said at the end below it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self.console = Console(highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._draw()
        return self

    def _draw(self) -> None:
        """Draw from here on; a `Live` that was stopped would begin by erasing what was printed since."""
        from rich.live import Live

        self._live = Live(
            console=self.console,
            get_renderable=self._frame,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _rest(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _frame(self) -> RenderableType:
        from rich.console import Group

        from windlass.cli.running.tree import frame

        width, height = self.console.size
        return Group(*frame(self.model, height - 2, width - 1))

    def tell(self, event: Event) -> None:
        """Take an event in; what is said once is printed above the tree."""
        super().tell(event)
        if event["kind"] == "plan":
            self._head(event)

    def _head(self, event: Event) -> None:
        said = heading(event)
        if said:
            self.console.print(", ".join(said), style="dim")
        if event["isolation"] == "host":
            why = f": {event['why_host']}" if event["why_host"] else ""
            self.console.print(f"no isolation: steps are processes of yours{why}", style="yellow")

    def shell(self, asked: Event, master: int) -> None:
        """Show what led to the failure, then lend the terminal; the tree waits meanwhile."""
        from rich.text import Text

        from windlass.cli.running.model import clean

        job, until = self.model.job(asked), time.monotonic() + PATIENCE
        while job is not None and job.failed_step is None and time.monotonic() < until:
            time.sleep(0.02)  # what the job asks for comes faster than what its records tell
        self._rest()
        step = job.failed_step if job else None
        for line in list(step.lines)[-SHOWN:] if step else ():
            self.console.print(Text("    ") + Text.from_ansi(clean(line)), soft_wrap=True)
        try:
            super().shell(asked, master)
        finally:
            self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what is worth keeping on the screen, and say how it ended."""
        self._rest()
        super().__exit__(kind, error, trace)

    def end(self) -> None:
        """Draw the tree for the last time, then all that is said at the end."""
        from windlass.cli.running.ending import show
        from windlass.cli.running.tree import final

        for line in final(self.model, max(self.console.size.height, MIN_FINAL)):
            self.console.print(line, soft_wrap=True)
        show(self.console, self.model)
