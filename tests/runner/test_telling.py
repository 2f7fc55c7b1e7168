"""What a failed step's log is said to show, where no tool's own form is in it."""

from __future__ import annotations

import pytest

from windlass.runner.matchers import FirstErrors

HEADER = "##[group]Run ./try --on-error stop\n./try --on-error stop\nshell: bash -e {0}\n##[endgroup]\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (f"{HEADER}all well\nValueError: no\nlater\n", "ValueError: no"),
        (f"{HEADER}java.lang.NullPointerException at X\n", "java.lang.NullPointerException at X"),
        (f"{HEADER}cp: cannot stat 'x'\n", "cp: cannot stat 'x'"),
        ("fatal: not a repository\n", "fatal: not a repository"),
        (f"{HEADER}##[group]mine\nfailed to open\n##[endgroup]\n", "failed to open"),
    ],
)
def test_the_most_telling_line(log: str, said: str) -> None:
    assert [finding.message for finding in FirstErrors().read([log.encode()])] == [said]


def test_what_the_file_says_is_no_evidence() -> None:
    assert FirstErrors().read([f"{HEADER}nothing special\n".encode()]) == []
