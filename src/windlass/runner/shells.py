"""How a `run:` step's script is started; pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from windlass.runner.errors import StepError

DEFAULT = ""


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell: its command line with `{0}` for the script, the script's file ending, and what surrounds it."""

    command: str
    ending: str = ""
    prefix: str = ""
    suffix: str = ""


SHELLS = {
    DEFAULT: Shell("bash -e {0}", ".sh"),
    "bash": Shell("bash --noprofile --norc -e -o pipefail {0}", ".sh"),
    "sh": Shell("sh -e {0}", ".sh"),
    "python": Shell("python {0}", ".py"),
    "pwsh": Shell(
        "pwsh -command \". '{0}'\"",
        ".ps1",
        "$ErrorActionPreference = 'stop'\n",
        "\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }",
    ),
}
WINDOWS = frozenset({"cmd", "powershell"})


def choose(name: str) -> Shell:
    """Return the shell of this name, or what a custom command line with `{0}` says.

    Raises `StepError` where it is neither.
    """
    name = name.strip()
    if name in SHELLS:
        return SHELLS[name]
    if name in WINDOWS:
        raise StepError(f"shell {name!r} is there on Windows only; use bash, sh, python or pwsh")
    if "{0}" not in name:
        raise StepError(
            f"shell {name!r} is not known: use bash, sh, python, pwsh, or a command line that holds {{0}}"
        )
    return Shell(name)


def argv(shell: Shell, script: str) -> list[str]:
    """Return the argument vector that runs the script at this path."""
    try:
        words = shlex.split(shell.command)
    except ValueError as error:
        raise StepError(f"shell {shell.command!r} cannot be read: {error}") from error
    return [word.replace("{0}", script) for word in words]


def script(shell: Shell, text: str) -> str:
    """Return the content of the script's file."""
    return f"{shell.prefix}{text.replace(chr(13) + chr(10), chr(10))}{shell.suffix}\n"
