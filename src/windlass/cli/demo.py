"""`windlass demo`: the main job on a sample service, and each kind of bad version taken back."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.parts import ENGINES

if TYPE_CHECKING:
    from rich.console import Console

    from windlass.cli.demonstration.story import Story

PACKAGED = Path(__file__).parents[1] / "examples"
EXAMPLES = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[3] / "examples"
RATE = 350


def default_demo_directory() -> Path:
    """Return where the demo keeps its data: caches stay from one demo to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "windlass" / "demo"


class DemoFailed(click.ClickException):
    """The demo saw something that must not be."""


def _faults(story: Story) -> None:
    """Break the service in every way that the demo knows."""
    from windlass.cli.demonstration import changes

    stage = story.stage
    with stage.step("A commit whose tests fail"):
        story.stopped_at_the_gate()
    with stage.step("A commit that passes its tests and needs a variable that production does not set"):
        story.bad_at_run_time(
            "needs a variable", "Read MODEL_REGION", changes.NEEDS_A_VARIABLE, "Do without MODEL_REGION"
        )
    with stage.step("A GitOps commit that breaks a good image (BREAK=1)"):
        story.bad_in_git_only("BREAK=1")
    with stage.step("A commit that is ready, and fails its verification after the cut-over"):
        story.bad_at_run_time("/tasks fails", "Tasks have owners", changes.TASKS_FAIL, "Tasks have no owners")


def _back_and_forth(story: Story) -> None:
    """Take a good change back by hand, and push twice at once."""
    stage = story.stage
    with stage.step("git revert of a good change"):
        story.reverted_by_hand(story.good("another", "Something to take back"))
    with stage.step("Two pushes in quick succession"):
        story.two_at_once()


def _figures(story: Story, console: Console, spans: dict[str, float]) -> None:
    from windlass.cli.demonstration import stage as show

    for table in (show.lines_table, show.faults_table, show.users_table):
        console.print()
        console.print(table(story.outcome))
    console.print(f"\n{show.chain_text(story.outcome)}", highlight=False, soft_wrap=True)
    console.print(
        "\n" + " · ".join(f"{name} {seconds:.1f} s" for name, seconds in spans.items()), highlight=False
    )


def _setup_began() -> float:
    with suppress(ValueError):
        return float(os.environ.get("WINDLASS_SETUP_BEGAN", ""))
    return time.time()


def _prepare_machine(data: Path, engine: str, console: Console) -> None:
    """Have the base image there, from its registry or made from the distribution's packages."""
    import anyio
    from rich.markup import escape

    from windlass.server.machine import prepare_base_image

    def said(line: str) -> None:
        if not line.startswith(" "):  # what the tools below say themselves
            console.print(f"   [dim]│[/] {escape(line)}", highlight=False)

    anyio.run(prepare_base_image, engine, data / "caches" / "images", said)


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_demo_directory,
    show_default="~/.cache/windlass/demo",
    help="The demo's own data directory. All but its caches is made anew.",
)
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="Container engine."
)
@click.option("--port", default=8700, show_default=True, help="First of the ports that the server takes.")
@click.option(
    "--only-first", is_flag=True, help="Only the main job: from the first push to the verified service."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there."
)
def demo(data: Path, engine: str, port: int, json_file: Path | None, *, keep: bool, only_first: bool) -> None:
    """Take a service from its first push to production, and see each kind of bad version taken back."""
    from rich.console import Console

    from windlass.cli.demonstration.world import DemoError
    from windlass.server.machine import words_for

    options = Options(data.absolute(), engine, port, json_file, keep, only_first)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is put down in order
    try:
        _play(options, Console(), _setup_began())
    except DemoError as error:
        raise DemoFailed(str(error)) from None
    except Exception as error:
        if (words := words_for(error)) is None:
            raise
        raise DemoFailed(words) from None


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was told."""

    data: Path
    engine: str
    port: int
    json_file: Path | None
    keep: bool
    only_first: bool

    @property
    def server(self) -> list[str]:
        """The server's part of them."""
        first = self.port
        ports = ["--port", str(first), "--kubernetes-port", str(first + 1), "--edge-port", str(first + 2)]
        return [*ports, "--service-ports", str(first + 10), str(first + 99), "--engine", self.engine]


def _play(options: Options, console: Console, begun: float) -> None:
    from windlass.cli.client import connect
    from windlass.cli.demonstration.stage import Stage
    from windlass.cli.demonstration.story import Story
    from windlass.cli.demonstration.world import purge, server
    from windlass.cli.down import end_everything

    stage = Stage(console)
    data = options.data
    with ExitStack() as stack:
        with stage.step("Preparing"):
            end_everything(data, options.engine)
            purge(data)
            _prepare_machine(data, options.engine, console)
            stack.callback(end_everything, data, options.engine)
            stack.enter_context(server(data, options.server))
            client = connect(data)
            stage.good(f"windlass up: {client.url}")
            story = Story(client, EXAMPLES, data / "work", stage)
        spans = {"set-up": time.time() - begun}
        with stage.step("Two repositories: the service, and the GitOps repository that says what runs"):
            story.prepare()
        with stage.step("git push: test, build, publish, deploy, verify"):
            story.first()
        spans["first line"] = story.outcome.lines["first"].total or 0.0
        if not options.only_first:
            _rest(story, stack, spans)
            _figures(story, console, spans)
        if options.json_file:
            _write(options.json_file, story, spans)
        link = client.call("POST", "/login-links")["url"]
        console.print(f"\nThe dashboard: {client.url}", highlight=False)
        if not options.keep:
            console.print("It goes down with the demo; `make demo KEEP=1` keeps all of it up to look at.")
        else:
            console.print(f"Log in, once: {link}\nIt stays up; Ctrl-C ends it.", highlight=False)
            with suppress(KeyboardInterrupt):
                signal.pause()


def _rest(story: Story, stack: ExitStack, spans: dict[str, float]) -> None:
    from windlass.cli.demonstration.traffic import Traffic

    with story.stage.step("A second version: the same line, warm"):
        story.good("repeated", "A better version")
    spans["repeated"] = story.outcome.lines["repeated"].total or 0.0
    story.traffic = stack.enter_context(Traffic(f"{story.address}/health", RATE))
    begun = time.time()
    _faults(story)
    spans["all faults"] = time.time() - begun
    _back_and_forth(story)


def _write(file: Path, story: Story, spans: dict[str, float]) -> None:
    import json
    from dataclasses import asdict

    outcome = story.outcome
    figures: dict[str, Any] = {
        "spans": spans,
        "lines": {name: asdict(line) for name, line in outcome.lines.items()},
        "faults": {name: asdict(fault) for name, fault in outcome.faults.items()},
        "seen": {name: asdict(seen) for name, seen in outcome.seen.items()},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
