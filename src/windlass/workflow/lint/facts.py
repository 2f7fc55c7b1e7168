"""What GitHub has deprecated or removed: actions of its own by major version, and runner images.

As of the middle of 2026; a version that is not named here is taken for current.
"""

from __future__ import annotations

from enum import Enum

from windlass.workflow.lint.words import words


class Age(Enum):
    """What is wrong with an old version."""

    REFUSED = "refused"  # GitHub fails the step
    ARCHIVED = "archived"
    NODE12 = "Node 12"
    NODE16 = "Node 16"
    NODE20 = "Node 20"


def _ages(**majors: str) -> dict[int, Age]:
    return {int(major): Age[name] for name, given in majors.items() for major in given.split()}


ACTIONS: dict[str, dict[int, Age]] = {
    "actions/checkout": _ages(NODE12="1 2", NODE16="3", NODE20="4"),
    "actions/setup-python": _ages(NODE12="1 2", NODE16="3 4", NODE20="5"),
    "actions/setup-node": _ages(NODE12="1 2", NODE16="3", NODE20="4"),
    "actions/setup-java": _ages(NODE12="1 2", NODE16="3", NODE20="4"),
    "actions/setup-go": _ages(NODE12="1 2", NODE16="3 4", NODE20="5"),
    "actions/setup-dotnet": _ages(NODE12="1", NODE16="2 3", NODE20="4"),
    "actions/cache": _ages(REFUSED="1 2", NODE16="3", NODE20="4"),
    "actions/upload-artifact": _ages(REFUSED="1 2 3", NODE20="4 5"),
    "actions/download-artifact": _ages(REFUSED="1 2 3", NODE20="4 5 6"),
    "actions/github-script": _ages(NODE12="1 2 3 4 5", NODE16="6", NODE20="7"),
    "actions/configure-pages": _ages(NODE16="1 2 3", NODE20="4 5"),
    "actions/upload-pages-artifact": _ages(REFUSED="1 2"),
    "actions/deploy-pages": _ages(NODE16="1 2"),
    "actions/labeler": _ages(NODE12="2 3", NODE16="4", NODE20="5"),
    "actions/stale": _ages(NODE12="1 2 3 4", NODE16="5 6 7 8", NODE20="9"),
    "actions/create-release": _ages(ARCHIVED="1"),
    "actions/upload-release-asset": _ages(ARCHIVED="1"),
}
REMOVED_RUNNERS = words(
    "ubuntu-16.04 ubuntu-18.04 ubuntu-20.04 windows-2016 windows-2019 macos-10.15 macos-11 macos-12 macos-12-large "
    "macos-12-xl macos-13 macos-13-large macos-13-xlarge macos-11.0 macos-10.14"
)
