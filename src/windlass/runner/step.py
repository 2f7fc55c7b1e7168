"""One step while it runs: its log, the commands it prints, the files it writes, how it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from windlass.runner.advice import advice
from windlass.runner.commands import ECHOED
from windlass.runner.environment import RESERVED_PREFIXES
from windlass.runner.errors import FileCommandError, PathError
from windlass.runner.filecommands import SUMMARY_LIMIT
from windlass.runner.logs import LogFile, Output
from windlass.runner.matchers import (
    LIMIT,
    Finding,
    Findings,
    FirstErrors,
    coverage_of_report,
    read_matchers,
    without_header,
)

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.runner.commands import Command
    from windlass.runner.filecommands import FileCommands
    from windlass.runner.state import JobState

_REFUSED = {"set-env": "GITHUB_ENV", "add-path": "GITHUB_PATH"}
_DEPRECATED = {"set-output": "GITHUB_OUTPUT", "save-state": "GITHUB_STATE"}
_MATCHER_LIMIT = 1 << 20
_REPORT = 1 << 16  # how much of the end of a log is searched for a coverage report
_EVIDENCE = 32 << 20  # and for errors


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended. `outcome` is before, `conclusion` after `continue-on-error`."""

    outcome: str
    conclusion: str
    reason: str = ""


@dataclass
class StepRun:
    """The number, name and output of one step; a `Listener` for what it prints."""

    state: JobState
    number: int
    name: str
    line: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    """The state that an action keeps for its post step."""
    refused: str = ""
    """Why the step fails although its process may say otherwise."""
    echo: bool = False
    """Whether commands are shown in the log as they were printed."""
    inner: StepRun | None = None
    """The step of a composite action that runs now: what is printed comes from it."""
    _counts: dict[str, int] = field(default_factory=dict)
    _files: FileCommands | None = None

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self.echo = self.state.debug
        self.findings = Findings(self.state.matchers)
        self._log: LogFile | None = None
        self._output: Output | None = None
        self.state.sink.emit(
            "step.started", step=self.number, name=self.state.masker.mask_text(self.name), line=self.line
        )

    @property
    def output(self) -> Output:
        """The way to the step's log, which is made when the first line comes."""
        if self._output is None:
            directory = self._log_directory()
            self._log = LogFile(directory, self.number, self.state.sink.logged)
            self._output = Output(self._log, self.state.masker, self, self.findings)
        return self._output

    def _log_directory(self) -> Path:
        return self.state.paths.files.host.parent / "log"

    def say(self, text: str) -> None:
        """Log lines of the runner's own."""
        self.output.line(text)

    # Annotations

    def annotate(self, finding: Finding) -> None:
        """Record an error, warning or notice; those past the limit of their level are in the log only."""
        count = self._counts[finding.level] = self._counts.get(finding.level, 0) + 1
        if count > LIMIT:
            return
        hide = self.state.masker.mask_text
        self.state.sink.emit(
            "annotation",
            level=finding.level,
            message=hide(finding.message),
            file=hide(self._relative(finding.file)),
            line=finding.line or None,
            column=finding.column or None,
            title=hide(finding.title),
            step=self.number,
        )

    def error(self, message: str) -> None:
        """Log an error and annotate it."""
        self.say(f"##[error]{message}")
        self.annotate(Finding(message))

    def warning(self, message: str) -> None:
        """Log a warning and annotate it."""
        self.say(f"##[warning]{message}")
        self.annotate(Finding(message, level="warning"))

    def _relative(self, file: str) -> str:
        return file.removeprefix(f"{self.state.paths.workspace.inside}/").removeprefix("./")

    # Workflow commands

    def command(self, command: Command) -> str | None:
        """Carry out what the step asked for by printing it."""
        if self.inner is not None:
            return self.inner.command(command)
        if command.name in _REFUSED:
            self.refused = (
                f"The `{command.name}` command is refused: what a program prints must not change the environment "
                f"of later steps. Write to the file in ${_REFUSED[command.name]} instead."
            )
            return f"##[error]{self.refused}"
        shown = command.line if self.echo and command.name in ECHOED else None
        if command.name in _DEPRECATED:
            self._deprecated(command)
            return shown
        handler = getattr(self, f"_on_{command.name.replace('-', '_')}", None)
        return str(made) if handler and (made := handler(command)) is not None else shown

    def _on_echo(self, command: Command) -> str | None:
        wanted = command.data.strip().lower()
        if wanted not in {"on", "off"}:
            return f"##[warning]The `echo` command takes on or off, not {command.data!r}."
        self.echo = wanted == "on"
        return None

    def _deprecated(self, command: Command) -> None:
        name = command.properties.get("name", "")
        if not name:
            self.warning(f"The `{command.name}` command has no name.")
            return
        (self.outputs if command.name == "set-output" else self.saved)[name] = command.data
        if not self._counts.get(command.name):
            self._counts[command.name] = 1
            self.warning(
                f"The `{command.name}` command is deprecated: write to the file in ${_DEPRECATED[command.name]}."
            )

    def _on_add_mask(self, command: Command) -> None:
        if command.data.strip():
            self.state.masker.add(command.data)

    def _on_group(self, command: Command) -> str:
        return f"##[group]{command.data}"

    def _on_endgroup(self, _command: Command) -> str:
        return "##[endgroup]"

    def _on_debug(self, command: Command) -> str | None:
        return f"##[debug]{command.data}" if self.state.debug else None

    def _on_error(self, command: Command) -> str:
        return self._annotated("error", command)

    def _on_warning(self, command: Command) -> str:
        return self._annotated("warning", command)

    def _on_notice(self, command: Command) -> str:
        return self._annotated("notice", command)

    def _annotated(self, level: str, command: Command) -> str:
        given = command.properties
        self.annotate(
            Finding(
                command.data,
                level=level,
                file=given.get("file", ""),
                line=_number(given.get("line")),
                column=_number(given.get("col") or given.get("column")),
                title=given.get("title", ""),
            )
        )
        return f"##[{level}]{command.data}"

    def _on_add_matcher(self, command: Command) -> str | None:
        try:
            path = self.state.paths.to_host(command.data)
            text = path.read_text("utf-8-sig") if path.stat().st_size <= _MATCHER_LIMIT else ""
            for matcher in read_matchers(text):
                self.state.matchers[matcher.owner] = matcher
        except (OSError, PathError, ValueError) as error:
            return f"##[warning]The problem matcher {command.data} cannot be used: {error}"
        return None

    def _on_remove_matcher(self, command: Command) -> None:
        self.state.matchers.pop(command.properties.get("owner", ""), None)

    # Files

    def files(self) -> dict[str, str]:
        """Make the step's files for the runner and return the variables that name them."""
        self._files = self.state.files.take()
        return self._files.environment(self.state.paths.files.inside)

    def collect(self) -> None:
        """Take what the step wrote to its files. Raises `FileCommandError` where one is not well formed."""
        if self._files is None:
            return
        self.outputs |= self._files.pairs("output")
        self.saved |= self._files.pairs("state")
        self.state.path[:0] = self._files.paths()
        for name, value in self._files.pairs("env").items():
            self.set_env(name, value)
        self._summarise(self._files)
        self.state.files.give_back(self._files)
        self._files = None

    def set_env(self, name: str, value: str) -> None:
        """Set a variable for the steps that follow, but none that would let it pass itself off as the runner."""
        if name.upper().startswith(RESERVED_PREFIXES) or name in {"CI", "NODE_OPTIONS"}:
            self.warning(f"{name} cannot be set through $GITHUB_ENV.")
            return
        self.state.set_env(name, value)

    def _summarise(self, files: FileCommands) -> None:
        try:
            summary = files.text("step_summary", SUMMARY_LIMIT)
        except FileCommandError as error:
            self.error(f"The step summary was left out: {error}")
            return
        if summary.strip():
            self.state.sink.emit("summary", step=self.number, markdown=self.state.masker.mask_text(summary))

    # The end

    def finish(self, result: Result) -> Result:
        """Record how the step ended, with what its output showed."""
        if self._output is not None:
            self._output.finish()
        for finding in self.findings.matched:
            self.annotate(finding)
        if result.outcome == "failure":
            result = self._explain(result)
        if self._log is not None:
            for block in self._log.blocks(last=_REPORT):
                if (percent := coverage_of_report(block)) is not None:
                    self.state.sink.emit("coverage", percent=percent)
        self.state.sink.emit(
            "step.finished",
            step=self.number,
            outcome=result.outcome,
            conclusion=result.conclusion,
            seconds=round(time.monotonic() - self._started, 4),
            outputs={name: self.state.masker.mask_text(value) for name, value in self.outputs.items()},
        )
        return result

    def close(self) -> None:
        """End the log. What a process that the step left behind prints later is no longer kept."""
        if self._log is not None:
            self._log.end()

    def keep(self) -> None:
        """Make the log durable; nothing is written to it any more."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _explain(self, result: Result) -> Result:
        """Put the first error before everything else, then the reason; return it with what helps, if that is known."""
        if not self._counts.get("error") and self._log is not None:
            for finding in FirstErrors().read(self._log.blocks(last=_EVIDENCE)):
                self.annotate(replace(finding, message=finding.message.strip() or "failed"))
        if help_ := self._advice():
            result = replace(result, reason=f"{result.reason} {help_}".lstrip())
        if result.reason:
            self.error(result.reason)
        return result

    def _advice(self) -> str:
        state = self.state
        if self._log is None or state.supervisor.sandbox.name != "bubblewrap" or state.contained is not None:
            return ""
        end = b"".join(self._log.blocks(last=_REPORT)).decode("utf-8", "replace")
        return advice(without_header(end.splitlines()))


@dataclass
class InnerStep(StepRun):
    """A step of a composite action: it speaks through the step that uses the action, and has its own files."""

    parent: StepRun | None = None

    def __post_init__(self) -> None:
        """Take the parent's place as the one that prints."""
        self._log = None
        self._output = self._around.output
        self._output.finish()
        self.findings = self._around.findings
        self._around.inner = self

    @property
    def _around(self) -> StepRun:
        if self.parent is None:
            raise ValueError("a step of a composite action has one around it")
        return self.parent

    @property
    def output(self) -> Output:
        """The log of the step around."""
        return self._around.output

    def annotate(self, finding: Finding) -> None:
        """Record it with the step around, whose limits count."""
        self._around.annotate(finding)

    def finish(self, result: Result) -> Result:
        """Say why it failed, and give the parent its place back."""
        self.output.finish()
        if result.outcome == "failure" and result.reason:
            self.say(f"##[error]{result.reason}")
        self._around.inner = None
        return result


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
