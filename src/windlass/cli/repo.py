"""`windlass repo`: repositories that the server hosts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import ago, console, listing, short

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def repo() -> None:
    """Create, import and list repositories."""


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['name']} is at {found['clone_url']}")
    click.echo(f"  git remote add windlass {found['clone_url']}")
    click.echo(f"  git push windlass {found['default_branch']}")
    click.echo(
        "git asks for a password: a token (`windlass token create`), or let it ask Windlass from now on:"
    )
    click.echo(
        f"  git config --global credential.{found['clone_url'].rsplit('/', 2)[0]}.helper '!windlass credential'"
    )


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.option("--branch", default="main", show_default=True, help="Default branch.")
@click.option(
    "--applications",
    metavar="FOLDER",
    help="Folder of Argo CD Applications to adopt on every push to the default branch (a GitOps repository).",
)
@data_option
@json_option
def create(name: str, branch: str, applications: str | None, data: Path, *, as_json: bool) -> None:
    """Create an empty repository."""
    body = {"name": name, "default_branch": branch, "applications": applications}
    _show(connect(data).call("POST", "/repositories", json=body), as_json=as_json)


@repo.command("import")
@click.argument("source", metavar="URL|PATH")
@click.argument("name", metavar="OWNER/NAME")
@click.option(
    "--poll",
    type=click.FloatRange(5, 86_400),
    is_flag=False,
    flag_value=30.0,
    metavar="[SECONDS]",
    help="Look there every so many seconds (30) and follow: for a server that no webhook reaches.",
)
@click.option("--user", default="x-access-token", show_default=True, help="User that goes with the token.")
@click.option(
    "--token-stdin", is_flag=True, help="Read a token (or password) for the forge from standard input."
)
@click.option(
    "--forge", type=click.Choice(["github", "gitlab", "gitea", "bitbucket", "bitbucket-server", "git"])
)
@click.option("--api", metavar="URL", help="Where the forge's API is, if not in its usual place.")
@data_option
@json_option
def import_(  # noqa: PLR0917 one for each option
    source: str,
    name: str,
    poll: float | None,
    user: str,
    forge: str | None,
    api: str | None,
    data: Path,
    *,
    token_stdin: bool,
    as_json: bool,
) -> None:
    """Copy a repository, all branches and tags, from a URL or a path on the server's machine.

    Where it comes from is kept; with --poll, or once a webhook is set up, it follows what happens there.
    """
    body: dict[str, Any] = {"source": source, "name": name, "poll": poll, "forge": forge, "api": api}
    if token_stdin:
        body["credential"] = {"user": user, "password": _secret("Token")}
    found = connect(data).call("POST", "/repositories/import", json=body, timeout=900)
    _show(found, as_json=as_json)


def _secret(what: str) -> str:
    """Read a secret: on the command line it would stand in the shell's history and the list of processes."""
    value: str = click.prompt(what, hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    if not value:
        raise click.UsageError("the value is empty: give it on standard input")
    return value


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.option(
    "--secret-stdin", is_flag=True, help="Read the secret from standard input instead of making one."
)
@data_option
@json_option
def webhook(name: str, data: Path, *, secret_stdin: bool, as_json: bool) -> None:
    """Let a forge's webhooks in: prints the address and the secret to enter there."""
    body = {"secret": _secret("Secret") if secret_stdin else None}
    found = connect(data).call("PUT", f"/repositories/{name}/webhook", json=body)
    if as_json:
        print_json(found)
        return
    click.echo(f"Payload URL   {found['url']}")
    click.echo(f"Content type  application/json\nSecret        {found['secret']}")


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.argument("seconds", metavar="SECONDS|off")
@data_option
@json_option
def poll(name: str, seconds: str, data: Path, *, as_json: bool) -> None:
    """Say how often to look where a repository comes from; `off`: only when a webhook asks."""
    try:
        value = None if seconds == "off" else float(seconds)
    except ValueError:
        raise click.BadParameter("write a number of seconds, or off") from None
    answer = connect(data).call("PUT", f"/repositories/{name}/poll", json={"seconds": value})
    say(
        f"{name} is looked at {'when a webhook asks' if value is None else f'every {value:g} s'}.",
        answer,
        as_json=as_json,
    )


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@data_option
@json_option
def unfollow(name: str, data: Path, *, as_json: bool) -> None:
    """Follow no longer where a repository comes from; then it is pushed to here."""
    answer = connect(data).call("DELETE", f"/repositories/{name}/remote")
    say(f"{name} follows nothing any more.", answer, as_json=as_json)


@repo.command("show")
@click.argument("name", metavar="OWNER/NAME")
@data_option
@json_option
def show_(name: str, data: Path, *, as_json: bool) -> None:
    """Show a repository: where it comes from, the webhooks that came, the statuses that were told."""
    found = connect(data).call("GET", f"/repositories/{name}")
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['name']} is at {found['clone_url']}, default branch {found['default_branch']}")
    click.echo(f"  {_follows(found['remote']) or 'It follows nothing.'}")
    for row in found["webhooks"][:10]:
        state = row["error"] or ("done" if row["done_at"] else "waits")
        click.echo(f"  webhook {row['delivery']}, {ago(row['received_at'])}: {state}")
    for row in found["told"][-10:]:
        state = f"not taken: {row['error']}" if row["error"] else "told"
        click.echo(f"  {short(row['sha'])} {row['context']}: {row['state']}, {state}")


def _follows(remote: dict[str, Any] | None) -> str:
    """Say in a line how a repository follows its forge."""
    if not remote or not remote["url"]:
        return ""
    if not remote["follows"]:
        return f"from {remote['url']}"
    how = [f"every {remote['poll']:g} s"] if remote["poll"] else []
    how += ["by webhook"] if remote["webhook"] else []
    looked = f", looked {ago(remote['looked_at'])}" if remote["looked_at"] else ""
    wrong = f": {remote['error']}" if remote["error"] else ""
    return f"follows {remote['url']} {' and '.join(how)}{looked}{wrong}"


@repo.command("list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the repositories."""
    rows = connect(data).call("GET", "/repositories")
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("No repositories yet: `windlass repo create OWNER/NAME` makes one.")
        return
    table = listing("repository", "branch", "applications", "address", "from", whole=frozenset({"address"}))
    for row in rows:
        address = row["clone_url"]
        where = escape(_follows(row["remote"]))
        table.add_row(row["name"], row["default_branch"], row["applications"] or "", address, where)
    console().print(table)


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@json_option
def delete(name: str, data: Path, *, yes: bool, as_json: bool) -> None:
    """Delete a repository with all its history."""
    if not yes:
        click.confirm(f"Delete {name} with all its history?", abort=True)
    answer = connect(data).call("DELETE", f"/repositories/{name}")
    say(f"{name} is deleted.", answer, as_json=as_json)


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.argument("pattern", metavar="BRANCH|PATTERN")
@click.option(
    "--check", "checks", multiple=True, metavar="NAME", help="Job that must succeed before a merge."
)
@click.option(
    "--all-checks", is_flag=True, help="Every check that reports must succeed, and at least one must."
)
@click.option("--approvals", type=click.IntRange(0, 10), default=0, help="People who must approve.")
@click.option("--allow-push", is_flag=True, help="Direct pushes stay allowed.")
@data_option
@json_option
def protect(
    name: str,
    pattern: str,
    checks: tuple[str, ...],
    approvals: int,
    data: Path,
    *,
    all_checks: bool,
    allow_push: bool,
    as_json: bool,
) -> None:
    """Protect branches: only pull requests move them, once what they need is there."""
    rule = {
        "pattern": pattern,
        "checks": list(checks),
        "all_checks": all_checks,
        "approvals": approvals,
        "direct_pushes": allow_push,
    }
    answer = connect(data).call("PUT", f"/repositories/{name}/protections", json=rule)
    say(f"{pattern} of {name} is protected.", answer, as_json=as_json)


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@click.argument("pattern", metavar="BRANCH|PATTERN")
@data_option
@json_option
def unprotect(name: str, pattern: str, data: Path, *, as_json: bool) -> None:
    """Drop the rule of a branch or pattern."""
    answer = connect(data).call("DELETE", f"/repositories/{name}/protections", params={"pattern": pattern})
    say(f"{pattern} of {name} is not protected by a rule of its own any more.", answer, as_json=as_json)


@repo.command()
@click.argument("name", metavar="OWNER/NAME")
@data_option
@json_option
def protections(name: str, data: Path, *, as_json: bool) -> None:
    """List the rules of a repository's branches."""
    rows = connect(data).call("GET", f"/repositories/{name}/protections")
    if as_json:
        print_json(rows)
        return
    for row in rows:
        needs = [*row["checks"], *(["all checks"] if row["all_checks"] else [])]
        needs += [f"{row['approvals']} approvals"] if row["approvals"] else []
        pushes = "direct pushes allowed" if row["direct_pushes"] else "no direct pushes"
        click.echo(f"{row['pattern']}: {pushes}; a merge needs {', '.join(needs) or 'nothing'}")
    if not rows:
        click.echo(f"No branch of {name} is protected: `windlass repo protect {name} main` does it.")
