"""`windlass release`: releases of hosted repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from rich.markup import escape

from windlass.cli.client import connect, data_option, json_option, print_json, say
from windlass.cli.looks import ago, console, listing, short
from windlass.cli.pr import here, repo_option

if TYPE_CHECKING:
    from pathlib import Path


def _path(name: str | None, tag: str = "") -> str:
    found = f"/repositories/{name or here()}/releases"
    return f"{found}/{quote(tag)}" if tag else found


@click.group()
def release() -> None:
    """Make and list releases."""


@release.command()
@click.argument("tag")
@click.option("--title", default="", help="By default the tag.")
@click.option("--notes", default="", help="What is new.")
@click.option("--target", help="Branch or commit to put the tag on, if it is not there; the default branch.")
@click.option("--draft", is_flag=True, help="Publish it later: `windlass release publish TAG`.")
@click.option("--prerelease", is_flag=True, help="It is not for everybody yet.")
@repo_option
@data_option
@json_option
def create(  # noqa: PLR0917 one for each option
    tag: str,
    title: str,
    notes: str,
    target: str | None,
    name: str | None,
    data: Path,
    *,
    draft: bool,
    prerelease: bool,
    as_json: bool,
) -> None:
    """Make a release of a tag."""
    what = {"tag": tag, "title": title, "notes": notes, "target": target}
    body = {**what, "draft": draft, "prerelease": prerelease}
    found = connect(data).call("POST", _path(name), json=body)
    if as_json:
        print_json(found)
        return
    _say(found)


def _say(found: dict[str, Any]) -> None:
    at = f" at {short(found['sha'])}" if found["sha"] else ""
    click.echo(f"{found['tag']} is {'a draft' if found['draft'] else 'published'}{at}")


@release.command()
@click.argument("tag")
@repo_option
@data_option
@json_option
def publish(tag: str, name: str | None, data: Path, *, as_json: bool) -> None:
    """Publish a draft."""
    answer = connect(data).call("PATCH", _path(name, tag), json={"draft": False})
    if as_json:
        print_json(answer)
    else:
        _say(answer)


@release.command("list")
@repo_option
@data_option
@json_option
def list_(name: str | None, data: Path, *, as_json: bool) -> None:
    """List releases, the newest first."""
    rows = connect(data).call("GET", _path(name))
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("No releases yet: `windlass release create TAG` makes one.")
        return
    table = listing("tag", "title", "kind", "commit", "by", "when", whole=frozenset({"commit", "when"}))
    for row in rows:
        kind = "draft" if row["draft"] else "pre-release" if row["prerelease"] else "release"
        words = escape(row["tag"]), escape(row["title"]), kind, short(row["sha"]), escape(row["author"])
        table.add_row(*words, ago(row["published_at"] or row["created_at"]))
    console().print(table)


@release.command()
@click.argument("tag")
@click.option("--yes", is_flag=True, help="Do not ask.")
@repo_option
@data_option
@json_option
def delete(tag: str, name: str | None, data: Path, *, yes: bool, as_json: bool) -> None:
    """Delete a release; its tag stays."""
    if not yes:
        click.confirm(f"Delete the release {tag}?", abort=True)
    answer = connect(data).call("DELETE", _path(name, tag))
    say(f"The release {tag} is deleted.", answer, as_json=as_json)
