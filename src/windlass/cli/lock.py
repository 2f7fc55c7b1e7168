"""`windlass lock`: which commits the third parties' actions of this checkout's workflows stand for."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from windlass.cli.client import NoServerError, connect, data_option, json_option, say
from windlass.cli.lint import files_of, read, root_of
from windlass.runner.actions import built_in
from windlass.workflow import WorkflowError, parse, parse_action
from windlass.workflow.lock import (
    BUILT_IN,
    COMMIT,
    PATH,
    differences,
    read_lock,
    used_by,
    used_by_steps,
    write_lock,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 60.0
FILES = ("action.yml", "action.yaml")


def commands(place: str, repository: str, ref: str) -> list[str]:
    """Return the arguments of git that ask a place for a ref of a repository. Pure."""
    return ["git", "ls-remote", "--quiet", "--", f"{place.rstrip('/')}/{repository}", ref, f"{ref}^{{}}"]


def answered(output: str, ref: str) -> str | None:
    """Return the commit that `ls-remote` says a ref stands for: a tag before a branch, what it points at before it."""
    rows = (line.partition("\t") for line in output.splitlines())
    found = {name: commit for commit, _, name in rows}
    for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if name in found:
            return found[name]
    return None


@dataclass(slots=True)
class Asker:
    """Asks the places where actions come from, the server first. `token` is for the server alone."""

    places: list[str]
    token: str = ""
    said: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> str | None:
        """Return the commit that `OWNER/NAME@REF` stands for, None where nobody knows."""
        repository, _, ref = name.partition("@")
        if COMMIT.fullmatch(ref):
            return ref
        for place in self.places:
            done = subprocess.run(
                commands(place, repository, ref),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env={**os.environ, **self._credentials(place), "GIT_TERMINAL_PROMPT": "0"},
            )
            if done.returncode == 0 and (commit := answered(done.stdout, ref)):
                return commit
            last = done.stderr.strip().rpartition("\n")[2] or f"it has no {ref}"
            self.said.append(f"{name}: {place}: {last}")
        return None

    def _credentials(self, place: str) -> dict[str, str]:
        if not self.token or place != self.places[0]:
            return {}
        parts = urlsplit(place)
        basic = base64.b64encode(f"windlass:{self.token}".encode()).decode()
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
        }


def used_here(root: Path) -> set[str]:
    """Return the references of a checkout's workflows and of its own actions. Raises `click.ClickException`."""
    found: set[str] = set()
    for path in files_of(root):
        name, text = path.relative_to(root).as_posix(), read(path)
        if path.name in FILES and ".github/workflows" not in name:
            action = parse_action(text, name).action
            found |= used_by_steps(action.runs.get("steps") or ()) if action else set()
            continue
        workflow = parse(text, name).workflow
        if workflow is None:
            raise click.ClickException(f"{name} cannot be read: `windlass lint` shows why.")
        found |= used_by(workflow)
    return found


def resolved(names: Iterable[str], asker: Asker) -> dict[str, str]:
    """Return what each reference stands for. Raises `click.ClickException` with all that nobody knows."""
    entries, unknown = {}, []
    for name in sorted(names):
        commit = asker.resolve(name)
        if commit is None and built_in(name.partition("@")[0]) is not None:
            commit = BUILT_IN
        if commit is None:
            unknown.append(name)
        else:
            entries[name] = commit
    if unknown:
        reasons = "\n  ".join(line for line in asker.said if line.partition(": ")[0] in unknown)
        raise click.ClickException(
            f"{', '.join(unknown)} cannot be resolved:\n  {reasons}\nActions come from repositories that the server "
            "hosts (`windlass repo import`), then from its setting `actions_mirror`; --from names another place."
        )
    return entries


def places(data: Path, given: str | None) -> Asker:
    """Return where to ask: the server that is there, and the place that is given or the server's mirror."""
    try:
        client = connect(data)
        found = client.call("GET", "/actions")
    except NoServerError:
        if given is None:
            raise
        return Asker([given])
    mirror = given or found["mirror"]
    return Asker([client.url, *([mirror] if mirror else [])], client.token)


@click.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; exit code 1 where the file is not what it would be."
)
@click.option("--from", "source", metavar="URL", help="Where repositories are that the server does not host.")
@data_option
@json_option
def lock(source: str | None, data: Path, *, check: bool, as_json: bool) -> None:
    """Write .windlass/actions.lock: what the actions of this checkout's workflows stand for now.

    From then on a run refuses an action whose reference has moved to another commit.
    """
    root = root_of(Path.cwd())
    if root is None:
        raise click.UsageError("There are no workflow files here: go into a checkout.")
    names, file = used_here(root), root / PATH
    new = resolved(names, places(data, source)) if names else {}
    try:
        old = read_lock(file.read_text(encoding="utf-8")) if file.exists() else {}
    except WorkflowError as error:
        if check:
            raise click.ClickException(str(error)) from None
        old = {}
    stale = differences(old, new)
    words = list(stale)
    if not check:
        file.parent.mkdir(exist_ok=True)
        file.write_text(write_lock(new), encoding="utf-8")
        words.append(f"{PATH}: {len(new)} {'action' if len(new) == 1 else 'actions'}. Commit it.")
    if words or as_json:
        say("\n".join(words), {"file": PATH, "actions": new, "differences": stale}, as_json=as_json)
    if check and stale:
        click.echo(f"{PATH} is stale: `windlass lock` writes it anew.", err=True)
        raise SystemExit(1)
