"""What a run used is told, and a run that repeats it, or has a lock file, takes the same or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runner.conftest import Forge, Server

USES: dict[str, Any] = {"uses": "acme/say@main"}


def action(word: str) -> dict[str, str]:
    return {
        "action.yml": f"name: say\nruns:\n  using: composite\n  steps: [{{shell: bash, run: echo says {word}}}]\n"
    }


def test_a_run_tells_the_commit_of_each_action(forge: Forge, server: Server) -> None:
    commit = server.repository("acme/say", action("one"))
    ran = forge.run(USES, USES)
    ran.wait()
    assert ran.conclusion == "success", ran.everything
    (told,) = ran.of("action")
    assert (told["uses"], told["sha"]) == ("acme/say@main", commit)


def test_a_repeated_run_takes_the_commit_of_then(forge: Forge, server: Server) -> None:
    then = server.repository("acme/say", action("one"))
    server.commit("acme/say", action("two"), "second")
    now = forge.run(USES)
    now.wait()
    assert "says two" in now.log(1)
    ran = forge.run(USES, pins={"actions": {"acme/say@main": then}})
    ran.wait()
    assert ran.conclusion == "success", ran.everything
    assert "says one" in ran.log(1)
    assert ran.of("action", sha=then)


def test_a_commit_that_is_gone_is_not_replaced_by_another(forge: Forge, server: Server) -> None:
    server.repository("acme/say", action("one"))
    gone = "1" * 40
    ran = forge.run(USES, pins={"actions": {"acme/say@main": gone}})
    ran.wait()
    assert ran.conclusion == "failure"
    assert (
        f"acme/say@main: the run that this one repeats used {gone}, which is not to be had" in ran.everything
    )
    assert "says one" not in ran.everything


@pytest.mark.parametrize("moved", [False, True])
def test_an_action_that_has_moved_away_from_the_lock_is_refused(
    forge: Forge, server: Server, *, moved: bool
) -> None:
    locked = server.repository("acme/say", action("one"))
    now = server.commit("acme/say", action("two"), "second") if moved else locked
    ran = forge.run(USES, pins={"lock": {"acme/say@main": locked}})
    ran.wait()
    if moved:
        assert ran.conclusion == "failure"
        assert (
            f"acme/say@main has moved: .windlass/actions.lock says {locked}, it is {now} now"
            in ran.everything
        )
        assert "says two" not in ran.everything
    else:
        assert ran.conclusion == "success", ran.everything


def test_what_the_lock_does_not_name_is_told(forge: Forge, server: Server) -> None:
    server.repository("acme/say", action("one"))
    ran = forge.run(USES, pins={"lock": {"acme/other@v1": "1" * 40}})
    ran.wait()
    assert ran.conclusion == "success", ran.everything
    assert "acme/say@main is not in .windlass/actions.lock" in ran.everything


def test_own_actions_of_a_called_workflow_come_from_where_it_lies(forge: Forge, server: Server) -> None:
    server.repository("acme/service", action("mine"))
    commit = server.repository("acme/flows", action("theirs"))
    ran = forge.run({"uses": "$/"}, workflow_repository="acme/flows", workflow_sha=commit)
    ran.wait()
    assert ran.conclusion == "success", ran.everything
    assert "says theirs" in ran.log(1)


@pytest.mark.integration
def test_images_are_told_and_pinned(host_forge: Forge, shell_image: str) -> None:
    host_forge.engine = "podman"
    step = {"run": "echo inside"}
    ran = host_forge.run(step, definition={"container": shell_image})
    ran.wait()
    assert ran.conclusion == "success", ran.everything
    (used,) = ran.of("image.used")
    assert used["image"] == shell_image
    assert used["digest"].startswith("sha256:") or len(used["digest"]) == 64
    again = host_forge.run(
        step, definition={"container": shell_image}, pins={"images": {shell_image: used["digest"]}}
    )
    again.wait()
    assert again.conclusion == "success", again.everything
    gone = "sha256:" + "1" * 64
    refused = host_forge.run(
        step, definition={"container": shell_image}, pins={"images": {shell_image: gone}}
    )
    refused.wait()
    assert refused.conclusion == "failure"
    assert f"the run that this one repeats used {gone}, which is not to be had" in refused.everything
    assert "inside" not in refused.everything
