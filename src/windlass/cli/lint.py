"""`windlass lint`: what is wrong with workflow and action files, and what will bite."""

from __future__ import annotations

import difflib
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from windlass import __version__
from windlass.workflow.lint import (
    LEVELS,
    RULES,
    Chosen,
    Linted,
    as_github,
    as_json,
    as_sarif,
    as_text,
    choose,
    summary,
)
from windlass.workflow.lint import lint as look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILE = 4 * 1024 * 1024  # bytes; the parser's own limit, in characters, is lower
STDIN = "<stdin>"
_ROLES: dict[str, dict[str, object]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "info": {"fg": "blue", "bold": True},
    "place": {"bold": True},
    "code": {"dim": True},
    "dim": {"dim": True},
}
_LOCAL = re.compile(r"uses:\s*[\"']?\./([^\s\"'#]+)")


@dataclass(slots=True)
class Checkout:
    """A repository's files, read at most once. `root` is None where there is no repository around a file."""

    root: Path | None
    texts: dict[str, str | None] = field(default_factory=dict)

    def load(self, name: str) -> str | None:
        """Return a file's text by its path from the root; None where there is none inside the root."""
        if name not in self.texts:
            self.texts[name] = self._load(name)
        return self.texts[name]

    def _load(self, name: str) -> str | None:
        if self.root is None:
            return None
        try:
            path = (self.root / name).resolve()
            inside = path.is_relative_to(self.root.resolve())
            return read(path) if inside and path.is_file() else None
        except (OSError, ValueError):
            return None

    def owner(self) -> frozenset[str]:
        """Return the owner in the address of `origin`, whose own actions are no third party's."""
        try:
            config = (self.root or Path()).joinpath(".git/config").read_text("utf-8", "replace")
        except OSError:
            return frozenset()
        match = re.search(
            r"\[remote \"origin\"\][^\[]*?url\s*=\s*\S*?[:/]([\w.-]+)/[\w.-]+?/?\s*$", config, re.MULTILINE
        )
        return frozenset({match[1].lower()}) if match else frozenset()


def read(path: Path) -> str:
    """Read a file as UTF-8; what is no UTF-8 becomes U+FFFD. Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(MAX_FILE).decode("utf-8-sig", "replace")


def root_of(path: Path) -> Path | None:
    """Return the repository's root around a path."""
    for folder in (path, *path.parents):
        if (folder / ".git").exists() or (folder / ".github" / "workflows").is_dir():
            return folder
    return None


def files_of(root: Path) -> list[Path]:
    """Return the workflow files of a repository, its own action files, and those that they use."""
    workflows = _yaml(root / ".github" / "workflows")
    found = dict.fromkeys([*workflows, *(root / name for name in ("action.yml", "action.yaml"))])
    found |= dict.fromkeys(sorted((root / ".github").glob("actions/**/action.y*ml")))
    for path in workflows:
        for match in _LOCAL.finditer(read(path)):
            found |= dict.fromkeys(root / match[1] / name for name in ("action.yml", "action.yaml"))
    inside = root.resolve()
    return [path for path in found if path.is_file() and path.resolve().is_relative_to(inside)]


def _yaml(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("*.y*ml") if path.suffix in {".yml", ".yaml"} and path.is_file()
    )


def targets(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files to look at. Raises `click.UsageError`."""
    if not paths:
        root = root_of(Path.cwd())
        if root is None or not (found := files_of(root)):
            raise click.UsageError("There are no workflow files here: name some, or go into a checkout.")
        yield from found
    for path in paths:
        if path.is_dir():
            found = files_of(path) or _yaml(path)
            if not found:
                raise click.UsageError(f"There are no workflow files in {path}.")
            yield from found
        elif path.exists() or str(path) == "-":
            yield path
        else:
            raise click.UsageError(f"There is no file {path}.")


class Linter:
    """Looks at files of any number of repositories."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self.trusted = trusted
        self.checkouts: dict[Path | None, Checkout] = {}

    def one(self, path: Path, *, shown_from_root: bool) -> Linted:
        """Look at one file. Its name is relative to the repository's root, or to the current directory."""
        if str(path) == "-":
            text = sys.stdin.buffer.read(MAX_FILE).decode("utf-8-sig", "replace")
            return look(text, STDIN, None, self.trusted)
        root = root_of(path.resolve().parent)
        checkout = self.checkouts.setdefault(root, Checkout(root))
        name = path.resolve().relative_to(root).as_posix() if root else path.as_posix()
        shown = name if shown_from_root else _from_here(path)
        load = checkout.load if root else None
        return look(read(path), shown, load, self.trusted | checkout.owner())


def _from_here(path: Path) -> str:
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return path.as_posix()


def _paint(text: str, role: str) -> str:
    return click.style(text, **_ROLES[role])  # type: ignore[arg-type]


def _plain(text: str, role: str) -> str:  # noqa: ARG001 the shape of `_paint`
    return text


def coloured() -> bool:
    """Whether to colour: on a terminal, without NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def list_rules() -> str:
    """Return the table of rules."""
    rows = [f"{rule.code:22}{rule.severity:9}{rule.title}" for rule in RULES.values()]
    return "\n".join([*rows, "", "What the parser says has codes too; docs/diagnostics.md lists them."])


def check_codes(codes: Sequence[str]) -> frozenset[str]:
    """Return the codes of `--ignore`, split at commas. Raises `click.BadParameter` for what looks mistyped."""
    given = frozenset(code.strip() for item in codes for code in item.split(",") if code.strip())
    for code in given - RULES.keys():
        if close := difflib.get_close_matches(code, RULES, 1, 0.8):
            raise click.BadParameter(f"There is no rule '{code}'. Did you mean '{close[0]}'?")
    return given


def show(chosen: Sequence[Chosen], form: str) -> None:
    """Print what was found."""
    if form == "json":
        click.echo(as_json(chosen))
    elif form == "sarif":
        click.echo(as_sarif(chosen, __version__))
    elif form == "github":
        if annotations := as_github(chosen):
            click.echo(annotations)
    else:
        colour = coloured()
        drawn = as_text(chosen, _paint if colour else _plain)
        click.echo((drawn + "\n\n" if drawn else "") + summary(chosen), color=colour)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["text", "github", "sarif", "json"]), default="text",
              show_default=True, help="How findings are written.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--severity", type=click.Choice(LEVELS), default="warning", show_default=True,
              help="The mildest that is shown.")  # fmt: skip
@click.option(
    "--ignore", multiple=True, metavar="CODE", help="Leave a rule out (repeat it, or separate by commas)."
)
@click.option(
    "--trust", multiple=True, metavar="OWNER", help="An owner whose actions need no pin (repeatable)."
)
@click.option("--list-rules", "rules", is_flag=True, help="List the rules and exit.")
def lint(
    paths: tuple[Path, ...],
    form: str,
    severity: Literal["error", "warning", "info"],
    ignore: tuple[str, ...],
    trust: tuple[str, ...],
    *,
    as_json: bool,
    rules: bool,
) -> None:
    """Find errors in workflow and action files, and what bites people.

    PATHS are files, folders, or - for standard input; without any, the checkout's workflows and actions.
    A comment `# windlass: ignore[CODE]` on the line or above it silences one finding.
    Exit code 0 without errors, 1 with some, 2 when called wrongly.
    """
    if rules:
        click.echo(list_rules())
        return
    ignored = check_codes(ignore)
    linter = Linter(frozenset(owner.lower() for owner in trust))
    chosen = []
    for path in targets(paths):
        try:
            linted = linter.one(path, shown_from_root=as_json or form != "text")
        except OSError as error:
            raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from error
        chosen.append(choose(linted, severity, ignored))
    show(chosen, "json" if as_json else form)
    raise SystemExit(1 if any(item.errors() for item in chosen) else 0)
