"""actions/download-artifact and actions/upload-artifact/merge, through the server's API for jobs."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions.artifacts import Spool, check_name, keep, packing, tell_absence
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MAX_PATTERNS = 100


def patterns(text: str) -> list[str]:
    """Return a pattern as those without braces that it stands for: `{a,b}-*` is `a-*` and `b-*`. Pure."""
    found = [text]
    while len(found) < _MAX_PATTERNS:
        at = next((index for index, one in enumerate(found) if _BRACES.search(one)), None)
        if at is None:
            return found
        match = _BRACES.search(one := found.pop(at))
        assert match is not None  # noqa: S101 - just found
        found += [one[: match.start()] + part + one[match.end() :] for part in match[1].split(",")]
    raise StepError(f"input pattern: {text!r} stands for more than {_MAX_PATTERNS} patterns")


def matching(names: list[str], pattern: str) -> list[str]:
    """Return the names that a pattern matches, all for the empty one; after `!` those that it does not."""
    exclude, wanted = pattern.startswith("!"), patterns(pattern.lstrip("!"))
    return [
        name
        for name in sorted(names)
        if not pattern or any(fnmatch.fnmatchcase(name, one) for one in wanted) != exclude
    ]


class Download(BuiltIn):
    """Bring artifacts into the workspace."""

    names = ("actions/download-artifact",)
    about = (
        "Unpacks artifacts of this run, or of another one of the repository, into the workspace, in the sandbox; no "
        "entry may lead out of there."
    )
    inputs = (
        Input("name", "one artifact; all of the run's where neither name, ids nor pattern are given"),
        Input("artifact-ids", "artifacts by their numbers, with commas"),
        Input("pattern", "artifacts whose names match: `*`, `?`, `[…]`, `{a,b}`, `!` before it"),
        Input("path", "where to; the workspace by default, `~` is the home"),
        Input("merge-multiple", "whether several are unpacked into one directory", "false"),
        Input("github-token", "the job's own token is enough", honour="yes"),
        Input("repository", "only the run's own"),
        Input("run-id", "a run of the repository; this one by default"),
        Input("digest-mismatch", "the server checks digests when artifacts come in", "error", honour="yes"),
        Input("skip-decompress", "artifacts are always unpacked", "false", honour="error"),
    )
    outputs = MappingProxyType(
        {"download-path": "where they were unpacked", "artifacts": "their names, numbers and digests as JSON"}
    )

    def main(self, run: ActionRun) -> None:
        """Download, then unpack in the sandbox."""
        own = str(run.github["repository"])
        if run.text("repository") not in {"", own}:
            raise StepError(
                f"input repository: {run.text('repository')!r}: a job reads artifacts of {own} only"
            )
        target = os.path.normpath(os.path.join(run.state.paths.workspace.inside, _expanded(run)))  # noqa: PTH118
        run.host_path(target)
        chosen, alone = _chosen(run)
        for one in chosen:
            directory = target if alone or run.flag("merge-multiple") else f"{target}/{one['name']}"
            fetch(run, str(one["name"]), directory, run.text("run-id"))
        if not chosen:
            run.warning("The run has no artifact that matches.")
        run.output("download-path", target)
        shown = [{key: one.get(key) for key in ("name", "id", "size", "digest")} for one in chosen]
        run.output("artifacts", json.dumps(shown))


def _expanded(run: ActionRun) -> str:
    path = run.text("path")
    return run.state.paths.home.inside + path[1:] if path == "~" or path.startswith("~/") else path


def _chosen(run: ActionRun) -> tuple[list[dict[str, Any]], bool]:
    """Return what is to be downloaded, and whether it is one that was asked for by itself."""
    name, numbers = run.text("name"), run.text("artifact-ids")
    if name and numbers:
        raise StepError("Inputs 'name' and 'artifact-ids' cannot be used together. Please specify only one.")
    listed = {check_name(str(one["name"])): one for one in run.api.artifacts(run.text("run-id"))}
    there = ", ".join(sorted(listed)) or "none"
    if name:
        if name not in listed:
            raise StepError(f"Artifact not found for name: {check_name(name)} (the run has: {there})")
        return [listed[name]], True
    if numbers:
        wanted = [part.strip() for part in numbers.split(",") if part.strip()]
        known = {str(one.get("id")): one for one in listed.values()}
        if missing := [number for number in wanted if number not in known]:
            raise StepError(
                f"No artifact of the run has the number {', '.join(missing)} (the run has: {there})"
            )
        return [known[number] for number in dict.fromkeys(wanted)], len(set(wanted)) == 1
    return [listed[one] for one in matching(list(listed), run.text("pattern"))], False


def fetch(run: ActionRun, name: str, directory: str, number: str = "") -> None:
    """Unpack an artifact of a run, the job's own by default, into a directory of the job. Raises `StepError`."""
    spool = Spool(run, ".zip")
    try:
        with spool.create() as archive:
            if not run.api.get_artifact(name, archive, number):
                raise StepError(f"Artifact not found for name: {name}")
        unpacked = run.helper("archive", "unpack", spool.inside, directory)
        run.say(f"Artifact {name}: {unpacked['files']} files in {directory}")
    finally:
        spool.remove()


class Merge(BuiltIn):
    """Make one artifact of several."""

    names = ("actions/upload-artifact/merge",)
    about = "Packs several artifacts of the run into one; of files with one name the last artifact's counts."
    inputs = (
        Input("name", "the new artifact's name", "merged-artifacts"),
        Input("pattern", "artifacts whose names match", "*"),
        Input("if-no-files-found", "warn, error or ignore", "error"),
        Input("separate-directories", "whether each has a directory of its own in it", "false"),
        Input("retention-days", "at most the server's own", "0"),
        Input("compression-level", "0 to 9", "6"),
        Input("delete-merged", "whether those that were packed are deleted", "false"),
        Input("include-hidden-files", "whether names that begin with a dot count", "false"),
    )
    outputs = MappingProxyType(
        {
            "artifact-id": "its number",
            "artifact-digest": "the digest of the zip",
            "artifact-url": "its address",
        }
    )

    def main(self, run: ActionRun) -> None:
        """Download, pack, upload."""
        name = check_name(run.text("name"))
        level, absent = packing(run)
        listed = [str(one["name"]) for one in run.api.artifacts()]
        chosen = [one for one in matching(listed, run.text("pattern")) if one != name]
        if not chosen:
            tell_absence(run, absent, f"No artifacts were found that match {run.text('pattern')!r}.")
            return
        spool = Spool(run, ".zip")
        place = spool.inside.removesuffix(".zip")
        try:
            for one in chosen:
                fetch(run, one, f"{place}/{one}" if run.flag("separate-directories") else place)
            hidden = str(run.flag("include-hidden-files")).lower()
            packed = run.helper("archive", "pack", spool.inside, level, hidden, place)
            with spool.open() as archive:
                keep(run, name, archive, int(packed["files"]), overwrite=True)
        finally:
            spool.remove()
            run.run(["rm", "-rf", "--", place], quiet=True, check=False)
        if run.flag("delete-merged"):
            for one in chosen:
                run.api.delete_artifact(one)
            run.say(f"Deleted: {', '.join(chosen)}")
