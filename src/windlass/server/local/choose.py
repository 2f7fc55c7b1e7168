"""Which workflows and jobs are meant. Pure: from the files and what was asked for to a choice, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from windlass.server.local.errors import InvalidFilesError, NothingChosenError
from windlass.server.local.events import for_workflow
from windlass.syntax.diagnostics import render
from windlass.workflow import Event, Parsed, Workflow, WorkflowError, dispatch_inputs, parse, triggered_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DEFAULTS = ("push", "workflow_dispatch")
TAKING_INPUTS = frozenset({"workflow_dispatch", "workflow_call"})


@dataclass(frozen=True, slots=True)
class File:
    """A workflow file of the checkout."""

    path: str
    source: str
    parsed: Parsed

    @property
    def workflow(self) -> Workflow:
        """The workflow. Only of files that are known to have no errors."""
        if self.parsed.workflow is None:
            raise InvalidFilesError(drawn([self]))
        return self.parsed.workflow

    @property
    def short(self) -> str:
        """The file's own name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says. Everything may be open; `needs` is whether the needs of `job` are run too."""

    workflow: str | None = None
    job: str | None = None
    event: str | None = None
    inputs: Mapping[str, str] | None = None
    needs: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """One workflow to run: its event, its inputs, and how the jobs count that are not to be run."""

    file: File
    event: Event
    inputs: dict[str, Any]
    settled: dict[str, tuple[str, str]]
    """Conclusion and reason of each job that is left out, by its key."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be run. `notes` say what was decided for the person, and what would be otherwise on a forge."""

    runs: tuple[Chosen, ...]
    notes: tuple[str, ...] = ()


def read(sources: Mapping[str, str]) -> tuple[File, ...]:
    """Parse the files."""
    return tuple(File(path, source, parse(source, path)) for path, source in sources.items())


def drawn(files: Iterable[File]) -> str:
    """Draw all errors of the files, each on its line with carets."""
    return "\n\n".join(
        render(item, file.source)
        for file in files
        for item in file.parsed.diagnostics
        if item.severity == "error"
    )


def choose(files: Sequence[File], wish: Wish, event_of: Callable[[str], Event]) -> Choice:
    """Choose. `event_of` makes the event of a name. Raises `NothingChosenError`, `InvalidFilesError`."""
    meant = [_named(files, wish.workflow)] if wish.workflow else list(files)
    if wish.job and not wish.workflow:
        meant = [file for file in meant if file.parsed.workflow and _job(file.workflow, wish.job)] or meant
    if broken := [file for file in meant if file.parsed.workflow is None]:
        raise InvalidFilesError(drawn(broken))
    found, notes = _triggered(meant, wish, event_of)
    if wish.inputs and not any(one.event.name in TAKING_INPUTS for one in found):
        raise NothingChosenError(
            f"--input has no meaning for {found[0].event.name}: inputs belong to workflow_dispatch "
            "(-e workflow_dispatch) and workflow_call"
        )
    return Choice(tuple(_narrowed(one, wish) for one in found), tuple(notes))


def _named(files: Sequence[File], wanted: str) -> File:
    """Find a workflow by its path, its file's name with or without suffix, or its `name:`."""
    path = wanted.removeprefix("./")
    for matches in (
        lambda file: file.path == path,
        lambda file: file.short == wanted,
        lambda file: file.short.rpartition(".")[0] == wanted,
        lambda file: bool(file.parsed.workflow) and file.workflow.name.lower() == wanted.lower(),
        lambda file: path.endswith(f"/{file.path}"),
    ):
        if found := [file for file in files if matches(file)]:
            return found[0]
    names = [file.short for file in files]
    near = get_close_matches(wanted, names, 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NothingChosenError(f"there is no workflow {wanted!r} here, but {', '.join(names)}{hint}")


def _triggered(
    files: Sequence[File], wish: Wish, event_of: Callable[[str], Event]
) -> tuple[list[Chosen], list[str]]:
    names = (wish.event,) if wish.event else ("workflow_dispatch",) if wish.inputs else DEFAULTS
    refused: list[str] = []
    for name in names:
        event = event_of(name)
        found = [one for file in files if (one := _started(file, event, wish, refused))]
        if found:
            return found, _told(found, event, wish)
    if wish.workflow or wish.job:
        return _forced(files, wish, event_of)
    asked = wish.event or "a push or workflow_dispatch"
    raise NothingChosenError(
        f"no workflow here is started by {asked}:\n{listing(files, dict.fromkeys(refused))}"
    )


def _started(file: File, event: Event, wish: Wish, refused: list[str]) -> Chosen | None:
    """Return the workflow with its event if that starts it."""
    inputs = _inputs(file.workflow, event.name, wish)
    own = for_workflow(event, file.workflow, inputs)
    decision = triggered_by(file.workflow, _asking(own))
    if decision:
        return Chosen(file, own, inputs, {})
    if event.name in file.workflow.triggers:
        refused.append(f"{file.short}: {decision.reason}")
    return None


def _asking(event: Event) -> Event:
    """Return the event to ask with: `[skip ci]` in a message is for forges, not for a person who asks for a run."""
    head = event.payload.get("head_commit")
    return replace(event, payload={**event.payload, "head_commit": None}) if head else event


def _forced(
    files: Sequence[File], wish: Wish, event_of: Callable[[str], Event]
) -> tuple[list[Chosen], list[str]]:
    """Run a file that was asked for by name, whatever its filters say, as far as its `on:` has the event."""
    for file in files:
        listed = list(file.workflow.triggers)
        name = wish.event or next((one for one in DEFAULTS if one in listed), listed[0] if listed else "")
        if name not in listed:
            raise NothingChosenError(
                f"{file.short} does not run on {name}, but on {', '.join(listed) or 'nothing'}"
            )
        inputs = _inputs(file.workflow, name, wish)
        event = for_workflow(event_of(name), file.workflow, inputs)
        decision = triggered_by(file.workflow, _asking(event))
        note = f"{file.short} as {name}"
        if not decision and name != "workflow_call":
            note += f"; a forge would not start it: {decision.reason}"
        return [Chosen(file, event, inputs, {})], [note]
    raise NothingChosenError("there is no workflow here")


def _told(found: Sequence[Chosen], event: Event, wish: Wish) -> list[str]:
    names = ", ".join(one.file.short for one in found)
    if wish.event and wish.workflow:
        return []
    return [f"{names} as {event.name} on {event.ref.removeprefix('refs/heads/').removeprefix('refs/tags/')}"]


def _inputs(workflow: Workflow, event: str, wish: Wish) -> dict[str, Any]:
    if event not in TAKING_INPUTS or event not in workflow.triggers:
        return {}
    try:
        return dispatch_inputs(workflow, wish.inputs or {}, event)
    except WorkflowError as error:
        given = " ".join(
            f"--input {one.name}={'|'.join(one.options) or '…'}"
            for one in workflow.triggers[event].inputs.values()
            if one.required and one.default is None and one.name not in (wish.inputs or {})
        )
        hint = f"\ngive it with {given}" if given else ""
        raise NothingChosenError(f"{workflow.path}: {error}{hint}") from None


def _job(workflow: Workflow, wanted: str) -> str | None:
    if wanted in workflow.jobs:
        return wanted
    return next((key for key, job in workflow.jobs.items() if job.name.lower() == wanted.lower()), None)


def _narrowed(one: Chosen, wish: Wish) -> Chosen:
    """Say of all jobs but the one that is asked for, and what it needs, how they count."""
    if not wish.job:
        return one
    workflow = one.file.workflow
    key = _job(workflow, wish.job)
    if key is None:
        near = get_close_matches(wish.job, list(workflow.jobs), 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise NothingChosenError(
            f"{one.file.short} has no job {wish.job!r}, but {', '.join(workflow.jobs)}{hint}"
        )
    before = workflow.ancestors(key)
    settled = {name: ("skipped", "not asked for") for name in workflow.jobs if name not in {key, *before}}
    if not wish.needs:
        settled |= dict.fromkeys(before, ("success", "taken as done (--no-needs)"))
    return replace(one, settled=settled)


def listing(files: Iterable[File], refused: Iterable[str] = ()) -> str:
    """Return the workflows with what starts them and their jobs, one a line, for a person to choose from."""
    rows = [
        (
            file.short,
            f"{file.workflow.name}",
            f"on {', '.join(file.workflow.triggers)}",
            ", ".join(file.workflow.jobs),
        )
        if file.parsed.workflow
        else (file.short, "has errors", "", "see `windlass lint`")
        for file in files
    ]
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(3)]
    lines = [
        "  " + "  ".join([*(cell.ljust(widths[at]) for at, cell in enumerate(row[:3])), row[3]])
        for row in rows
    ]
    why = [f"  {reason}" for reason in refused]
    return "\n".join([*(line.rstrip() for line in lines), *(["", *why] if why else [])])
