"""actions/cache and its halves, through the server's API for jobs. A cache that does not work never fails a job."""

from __future__ import annotations

import hashlib
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from windlass.runner.actions.artifacts import Spool
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.errors import ExistsError, JobApiError, StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_PATH = Input(
    "path", "files and directories under the workspace, the home or /tmp, one a line", required=True
)
_KEY = Input("key", "the entry's name", required=True)
_RESTORE_KEYS = Input("restore-keys", "beginnings of names to try, one a line")
_ON_MISS = Input("fail-on-cache-miss", "whether the step fails where there is no entry", "false")
_LOOKUP = Input("lookup-only", "whether to look only", "false")
_CHUNK = Input("upload-chunk-size", "entries are sent in one piece", honour="yes")
_ANY_OS = Input("enableCrossOsArchive", "there is one system only", "false", honour="yes")
_HIT = MappingProxyType(
    {
        "cache-hit": "true where the entry has exactly the key, false where one was found by a restore key, else empty",
        "cache-primary-key": "the key",
        "cache-matched-key": "the key of the entry that was found",
    }
)


def version(paths: list[str]) -> str:
    """Return what tells entries of one key but other paths apart."""
    return hashlib.sha256("\n".join([*paths, "tar", "v2"]).encode()).hexdigest()


def restore(run: ActionRun) -> bool:
    """Bring the entry back; return whether its key is exactly the one asked for."""
    paths, key = run.lines("path"), _key(run)
    keys = [key, *run.lines("restore-keys")][:10]
    run.output("cache-primary-key", key)
    try:
        found = run.api.find_cache(keys, version(paths))
    except JobApiError as error:
        run.warning(f"The cache could not be asked: {error}")
        found = None
    look_only = run.flag("lookup-only")
    if found is None or not (look_only or _fetch(run, found)):
        if run.flag("fail-on-cache-miss"):
            raise StepError(
                f"Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: {key}"
            )
        if found is None:
            run.say(f"Cache not found for input keys: {', '.join(keys)}")
        return False
    exact = found.get("key") == key
    run.output("cache-hit", str(exact).lower())
    run.output("cache-matched-key", str(found.get("key")))
    if look_only:
        run.say(f"Cache found and can be restored from key: {found.get('key')}")
    return exact


def _fetch(run: ActionRun, found: dict[str, Any]) -> bool:
    """Unpack the entry; return whether that went well."""
    spool = Spool(run, ".tar")
    try:
        with spool.create() as archive:
            there = run.api.get_cache(str(found["id"]), archive)
        if there:
            run.helper("archive", "restore", spool.inside)
            run.say(f"Cache restored from key: {found.get('key')}")
        else:
            run.say(f"Cache entry {found.get('key')} has gone in the meantime")
    except (JobApiError, StepError) as error:
        run.warning(f"The cache could not be restored: {error}")
        return False
    finally:
        spool.remove()
    return there


def save(run: ActionRun) -> None:
    """Store the paths under the key."""
    paths, key = run.lines("path"), _key(run)
    spool = Spool(run, ".tar")
    try:
        packed = run.helper("archive", "save", spool.inside, *paths)
        for path in packed["left"]:
            run.say(
                f"{path} is left out: it is not under the workspace, the home or /tmp. What pip, npm and uv fetch is "
                "kept for later jobs anyway."
            )
        if not packed["files"] and packed["left"]:
            return
        if not packed["files"]:
            run.warning(
                f"Path Validation Error: none of these is there, so nothing is cached: {', '.join(paths)}"
            )
            return
        with spool.open() as archive:
            run.api.put_cache(key, version(paths), archive, os.fstat(archive.fileno()).st_size)
        run.say(f"Cache saved with key: {key}")
    except ExistsError as error:
        run.say(f"Cache not saved: {error}")
    except (JobApiError, StepError) as error:
        run.warning(f"The cache could not be saved: {error}")
    finally:
        spool.remove()


def _key(run: ActionRun) -> str:
    key = run.text("key")
    if "," in key or len(key) > 512:
        raise StepError(f"input key: {key[:80]!r} holds a comma or is longer than 512 characters")
    return key


class Cache(BuiltIn):
    """Restore now, save after the job where nothing of this key was there."""

    names = ("actions/cache",)
    about = "Restores an entry, and stores a new one at the end of a successful job."
    has_post = True
    inputs = (
        _PATH, _KEY, _RESTORE_KEYS, _CHUNK, _ANY_OS, _ON_MISS, _LOOKUP,
        Input("save-always", "use actions/cache/save with `if: always()`", "false", honour="error"),
    )  # fmt: skip
    outputs = _HIT

    def main(self, run: ActionRun) -> None:
        """Restore."""
        run.memory["exact"] = restore(run)

    def post(self, run: ActionRun) -> None:
        """Save."""
        if run.memory.get("exact"):
            run.say("Cache hit occurred on the primary key, not saving cache.")
        elif run.state.status != "success":
            run.say("The job did not succeed, not saving cache.")
        elif "exact" in run.memory and not run.flag("lookup-only"):
            save(run)


class Restore(BuiltIn):
    """Restore only."""

    names = ("actions/cache/restore",)
    about = "Restores an entry."
    inputs = (_PATH, _KEY, _RESTORE_KEYS, _ANY_OS, _ON_MISS, _LOOKUP)
    outputs = _HIT

    def main(self, run: ActionRun) -> None:
        """Restore."""
        restore(run)


class Save(BuiltIn):
    """Save only."""

    names = ("actions/cache/save",)
    about = "Stores an entry."
    inputs = (_PATH, _KEY, _CHUNK, _ANY_OS)

    def main(self, run: ActionRun) -> None:
        """Save."""
        save(run)
