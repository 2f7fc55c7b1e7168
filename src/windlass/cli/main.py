"""The `windlass` command. Commands load when they are called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from windlass import __version__

COMMANDS = {
    "up": ("windlass.cli.up", "Start the server."),
    "down": ("windlass.cli.down", "Stop the server, its jobs, its pods and its edge."),
    "demo": ("windlass.cli.demo", "Push a service to production and see a bad one taken back."),
    "doctor": ("windlass.cli.doctor", "Show what Windlass uses on this machine, and what is missing."),
    "repo": ("windlass.cli.repo", "Create, import and list repositories."),
    "pr": ("windlass.cli.pr", "Open, show and merge pull requests."),
    "release": ("windlass.cli.release", "Make and list releases."),
    "secret": ("windlass.cli.secret", "Set and list secrets."),
    "token": ("windlass.cli.token", "Create and revoke access tokens."),
    "login": ("windlass.cli.token", "Print a link that logs a browser in."),
    "credential": ("windlass.cli.credential", "Answer git's question for a password (a credential helper)."),
    "kubeconfig": ("windlass.cli.kubeconfig", "Print a kubeconfig for the cluster."),
    "run": ("windlass.cli.run", "Run this checkout's workflows here, without a server."),
    "lint": ("windlass.cli.lint", "Find errors in workflow files, and what bites people."),
    "dispatch": ("windlass.cli.dispatch", "Start a workflow by hand, or tell a repository of an event."),
    "lock": ("windlass.cli.lock", "Pin the actions of this checkout's workflows to commits."),
    "runs": ("windlass.cli.runs", "List workflow runs, show one, run it again, cancel it."),
    "replay": ("windlass.cli.runs", "Repeat a run, with the actions and images that it used."),
    "approve": ("windlass.cli.environment", "Let a job that waits for its environment pass."),
    "reject": ("windlass.cli.environment", "Fail a job that waits for its environment."),
    "environment": (
        "windlass.cli.environment",
        "Set the rules of environments: approvers, timers, branches.",
    ),
    "logs": ("windlass.cli.runs", "Print the log of a run or job."),
    "status": ("windlass.cli.status", "Show what is live and what is on its way."),
    "trace": ("windlass.cli.status", "Show the chain of one commit: run, digest, GitOps commit, pods."),
    "sync": ("windlass.cli.status", "Ask for a sync of an Application."),
    "holds": ("windlass.cli.status", "List what is held back, and release it."),
    "runner": ("windlass.cli.runner", "Execute one job (the server starts this)."),
}
HIDDEN = {"runner"}


class Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """All commands, in the order in which one meets them."""
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's signature
        """Import the module of a command and return the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="windlass")
def cli() -> None:
    """Windlass takes a git push to a verified, running service, and takes it back when it turns out bad."""


def main() -> Any:
    """Run the command; ends quietly when its reader goes away."""
    try:
        return cli()
    except BrokenPipeError:
        sys.stderr.close()
        return 0
