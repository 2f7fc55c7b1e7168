"""`windlass pr`: pull requests of hosted branches."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import ago, console, listing, mark, short

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REMOTE = re.compile(r"[a-z+]+://[^/]+/([^/\s]+/[^/\s]+?)(?:\.git)?/?")


def ask_git(*words: str) -> str:
    """Ask git of the checkout we stand in; empty where it has no answer."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def here() -> str:
    """Return the hosted repository that the checkout we stand in pushes to."""
    for remote in ("windlass", "origin"):
        match = REMOTE.fullmatch(ask_git("remote", "get-url", remote))
        if match:
            return match[1]
    raise click.UsageError("no remote of this checkout is a hosted repository: name it with -R OWNER/NAME")


def repo_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-R OWNER/NAME`."""
    return click.option(
        "-R",
        "--repository",
        "--repo",
        "name",
        metavar="OWNER/NAME",
        help="Repository; by default the one that this checkout's remote `windlass` or `origin` names.",
    )(command)


def _path(name: str | None, number: int | None = None, rest: str = "") -> str:
    found = f"/repositories/{name or here()}/pulls"
    return found if number is None else f"{found}/{number}{rest}"


def _whole(_ctx: click.Context, _parameter: click.Parameter, sha: str | None) -> str | None:
    """Check that a commit's id is whole: a beginning of it may come to fit another commit."""
    if sha is not None and not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise click.BadParameter(f"{sha!r} is not a whole commit id, as `git rev-parse HEAD` prints it")
    return sha


head_option = click.option(
    "--match-head", "sha", metavar="SHA", callback=_whole, help="Only if the head is at this commit."
)


@click.group()
def pr() -> None:
    """Open, show and merge pull requests."""


@pr.command()
@click.option("--head", help="Branch with the change; by default the one that is checked out.")
@click.option("--base", help="Branch to merge into; by default the repository's default branch.")
@click.option("--title", help="By default the subject of the last commit.")
@click.option("--body", default="", help="What it is about.")
@click.option("--draft", is_flag=True, help="It is not to be merged yet.")
@repo_option
@data_option
@json_option
def create(  # noqa: PLR0917 one for each option
    head: str | None,
    base: str | None,
    title: str | None,
    body: str,
    name: str | None,
    data: Path,
    *,
    draft: bool,
    as_json: bool,
) -> None:
    """Open a pull request for a branch that was pushed."""
    head = head or ask_git("symbolic-ref", "--short", "HEAD")
    if not head:
        raise click.UsageError("no branch is checked out here: name one with --head")
    what = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
    found = connect(data).call("POST", _path(name), json=what)
    if as_json:
        print_json(found)
        return
    click.echo(f"#{found['number']} {found['title']}: {found['head']} → {found['base']}")
    if not found["mergeable"]:
        click.echo(f"It conflicts with {found['base']} in {', '.join(found['conflicts'][:10])}")


@pr.command("list")
@click.option("--state", type=click.Choice(["open", "closed", "all"]), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@repo_option
@data_option
@json_option
def list_(state: str, limit: int, name: str | None, data: Path, *, as_json: bool) -> None:
    """List pull requests, the newest first."""
    rows = connect(data).call("GET", _path(name), params={"state": state, "limit": limit})
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("No pull requests." if state == "all" else f"No pull requests that are {state}.")
        return
    table = listing("#", "title", "branches", "author", "state", "updated", whole=frozenset({"#", "updated"}))
    for row in rows:
        words = escape(row["title"]), f"{escape(row['head'])} → {escape(row['base'])}", escape(row["author"])
        table.add_row(str(row["number"]), *words, _state(row), ago(row["updated_at"]))
    console().print(table)


def _state(row: dict[str, Any]) -> str:
    if row["merged_at"]:
        return "merged"
    if row["state"] == "closed":
        return "closed"
    return "conflict" if not row["mergeable"] else "draft" if row["draft"] else "open"


@pr.command()
@click.argument("number", type=int)
@repo_option
@data_option
@json_option
def show(number: int, name: str | None, data: Path, *, as_json: bool) -> None:
    """Show a pull request: its checks, approvals, and what keeps it from being merged."""
    found = connect(data).call("GET", _path(name, number))
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(f"[bold]#{number} {escape(found['title'])}[/]  {_state(found)}")
    heads = f"{escape(found['head'])} ({short(found['head_sha'])}) → {escape(found['base'])}"
    out.print(f"{heads}, by {escape(found['author'])}, {ago(found['created_at'])}")
    if found["body"]:
        out.print(f"\n{escape(found['body'])}")
    for check in found["checks"]:
        label = f"{check['workflow']} / {check['name']}" if check["workflow"] else check["name"]
        out.print(f"  {mark(check['state'])}  {escape(label)}  {check['url']}")
    if found["approvals"]:
        out.print(f"  approved by {escape(', '.join(found['approvals']))}")
    if found["merged_at"]:
        out.print(f"Merged by {escape(found['merged_by'] or '')} as {short(found['merged_sha'])}.")
    elif found["state"] == "open":
        _say_blockers(found)


def _say_blockers(found: dict[str, Any]) -> None:
    if not found["blockers"]:
        click.echo(f"It can be merged: windlass pr merge {found['number']}")
        return
    click.echo("Not to be merged yet:")
    for blocker in found["blockers"]:
        click.echo(f"- {blocker['text']} {blocker['remedy']}")


@pr.command()
@click.argument("number", type=int)
@click.option("--merge", "method", flag_value="merge", default=True, help="A merge commit (the default).")
@click.option("--squash", "method", flag_value="squash", help="One commit of all.")
@click.option("--rebase", "method", flag_value="rebase", help="The commits, put on the base one by one.")
@head_option
@click.option("--subject", "title", help="First line of the commit.")
@click.option("--message", help="The rest of the commit's message.")
@repo_option
@data_option
@json_option
def merge(  # noqa: PLR0917 one for each option
    number: int,
    method: str,
    sha: str | None,
    title: str | None,
    message: str | None,
    name: str | None,
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Merge a pull request, once its required checks are green."""
    how = {"method": method, "sha": sha, "title": title, "message": message}
    found = connect(data).call("PUT", _path(name, number, "/merge"), json=how)
    if as_json:
        print_json(found)
        return
    click.echo(f"#{number} is merged into {found['base']} as {short(found['merged_sha'])}")


@pr.command()
@click.argument("number", type=int)
@head_option
@repo_option
@data_option
@json_option
def approve(number: int, sha: str | None, name: str | None, data: Path, *, as_json: bool) -> None:
    """Approve the head of a pull request as it is now."""
    answer = connect(data).call("POST", _path(name, number, "/approvals"), json={"sha": sha})
    say(f"#{number} is approved at {short(answer['head_sha'])}", answer, as_json=as_json)


@pr.command()
@click.argument("number", type=int)
@click.option("--title")
@click.option("--body")
@click.option("--base", help="Another branch to merge into.")
@click.option("--draft/--ready", default=None, help="Whether it is not to be merged yet.")
@repo_option
@data_option
@json_option
def edit(  # noqa: PLR0917 one for each option
    number: int,
    title: str | None,
    body: str | None,
    base: str | None,
    name: str | None,
    data: Path,
    *,
    draft: bool | None,
    as_json: bool,
) -> None:
    """Change title, body or base, or say whether it is a draft."""
    what = {"title": title, "body": body, "base": base, "draft": draft}
    given = {key: value for key, value in what.items() if value is not None}
    if not given:
        raise click.UsageError("say what to change: --title, --body, --base, --draft or --ready")
    answer = connect(data).call("PATCH", _path(name, number), json=given)
    say(f"#{number} {answer['title']}: {answer['head']} → {answer['base']}", answer, as_json=as_json)


@pr.command()
@click.argument("number", type=int)
@repo_option
@data_option
@json_option
def close(number: int, name: str | None, data: Path, *, as_json: bool) -> None:
    """Close a pull request without merging it."""
    answer = connect(data).call("PATCH", _path(name, number), json={"state": "closed"})
    say(f"#{number} is closed", answer, as_json=as_json)


@pr.command()
@click.argument("number", type=int)
@repo_option
@data_option
@json_option
def reopen(number: int, name: str | None, data: Path, *, as_json: bool) -> None:
    """Open a pull request again that was closed."""
    answer = connect(data).call("PATCH", _path(name, number), json={"state": "open"})
    say(f"#{number} is open", answer, as_json=as_json)
