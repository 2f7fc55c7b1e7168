from __future__ import annotations

from pathlib import Path

import pytest

from windlass.runner.actions import built_in, catalogue
from windlass.runner.actions.describe import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_says_what_the_actions_do() -> None:
    """Make it anew with `python -m windlass.runner.actions.describe > docs/actions.md`."""
    assert (DOCS / "actions.md").read_text() == page()


def test_every_input_says_what_becomes_of_it() -> None:
    for action in catalogue().values():
        assert action.about
        names = [spec.name for spec in action.inputs]
        assert len(names) == len(set(names))
        for spec in action.inputs:
            assert spec.about, (action.names, spec.name)


@pytest.mark.parametrize(
    "uses", ["actions/checkout@v4", "Actions/Checkout@8f4b7f8", "docker/build-push-action@v6"]
)
def test_any_version_of_a_built_in_action_is_it(uses: str) -> None:
    action = built_in(uses)
    assert action is not None
    assert action.names[0] == uses.partition("@")[0].lower()


def test_others_are_not_built_in() -> None:
    assert built_in("someone/else@v1") is None
    assert built_in("./actions/checkout@v4") is None
