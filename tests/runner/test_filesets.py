"""Files that a step writes to, handed out again where it did not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from windlass.runner.filecommands import FILES, FileSets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def inodes(directory: Path, names: dict[str, str]) -> dict[str, int]:
    return {file: (directory / name).stat().st_ino for file, name in names.items()}


def test_untouched_files_serve_again_under_other_names(tmp_path: Path) -> None:
    sets = FileSets(tmp_path)
    first = sets.take()
    known = set(inodes(tmp_path, dict(first.names)).values())
    sets.give_back(first)
    second = sets.take()
    assert set(inodes(tmp_path, dict(second.names)).values()) == known
    assert not set(first.names.values()) & set(second.names.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(second.names.values())
    assert second.environment("/x")["GITHUB_ENV"] == f"/x/{second.names['env']}"


def test_sets_in_use_at_once_share_nothing(tmp_path: Path) -> None:
    sets = FileSets(tmp_path)
    one, two = sets.take(), sets.take()
    assert len({*one.names.values(), *two.names.values()}) == 2 * len(FILES)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("A=1\n"),
        lambda path: path.chmod(0o400),
        lambda path: os.link(path, path.with_name("another")),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        lambda path: [path.unlink(), os.mkfifo(path)],  # type: ignore[func-returns-value]
        lambda path: path.unlink(),
    ],
    ids=["written", "locked", "linked", "replaced", "pipe", "gone"],
)
def test_what_a_step_had_in_its_hands_is_not_handed_on(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    sets = FileSets(tmp_path)
    first = sets.take()
    path = tmp_path / first.names["env"]
    before = path.stat().st_ino
    keep = os.open(path, os.O_RDONLY)  # so that its number is not given to another
    spoil(path)
    sets.give_back(first)
    second = sets.take()
    assert before not in inodes(tmp_path, dict(second.names)).values()
    assert all(second.text(file) == "" for file in FILES)
    assert all((tmp_path / name).is_file() for name in second.names.values())
    os.close(keep)
