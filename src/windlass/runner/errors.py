"""What can go wrong while a job runs; the docstring is the message, the argument the particulars."""

from __future__ import annotations


class RunnerError(Exception):
    """The runner could not do what the job asked."""


class StepError(RunnerError):
    """The step failed; the text is shown in its log as an error."""


class UnknownActionError(RunnerError):
    """No action of this name is built in."""


class FileCommandError(RunnerError):
    """A file that the step wrote for the runner (GITHUB_OUTPUT, GITHUB_ENV, …) is not well formed."""


class SandboxError(RunnerError):
    """The sandbox could not be made or does not answer."""


class SandboxUnavailableError(SandboxError):
    """This machine cannot make the sandbox that was asked for."""


class PathError(RunnerError):
    """A path leads out of the directories that a job may name."""


class CancelledError(RunnerError):
    """The job was cancelled while a built-in action ran."""


class TimedOutError(RunnerError):
    """A built-in action took longer than its timeout."""


class JobApiError(RunnerError):
    """The server's job API refused or did not answer."""


class ExistsError(JobApiError):
    """The server has one of this name already."""


class ZygoteError(RunnerError):
    """The fork server did not start the job."""
