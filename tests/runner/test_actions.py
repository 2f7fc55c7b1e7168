"""The built-in actions that work on the workspace, with real git, uv and archives."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runner.conftest import Forge, Server

CHECKOUT: dict[str, Any] = {"uses": "actions/checkout@v4"}
TOKEN = "wl_5f2c9d1ab07e4c6a83d2"


def test_checkout_of_the_commit_that_was_pushed(forge: Forge, server: Server) -> None:
    first = server.repository("acme/service", {"a.txt": "one", "dir/b.txt": "two"})
    server.commit("acme/service", {"a.txt": "newer"}, "second")
    ran = forge.run(
        {"id": "out", **CHECKOUT},
        {
            "run": "cat a.txt dir/b.txt; git status --short --branch; git log --oneline | wc -l; git rev-parse HEAD"
        },
        sha=first,
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2).splitlines() == ["onetwo## main...origin/main", "1", first]
    assert ran.step(1)["outputs"] == {"commit": first, "ref": "refs/heads/main"}


def test_checkout_keeps_credentials_for_a_later_push_and_forgets_them_after(
    forge: Forge, server: Server
) -> None:
    server.repository("acme/gitops", {"tag": "old"})
    server.tokens.add("wl_robot_4471aa")
    ran = forge.run(
        {
            **CHECKOUT,
            "with": {"repository": "${{ github.repository_owner }}/gitops", "token": "${{ secrets.GITOPS }}"},
        },
        {
            "run": "echo new > tag; git config user.name ci; git config user.email ci@acme.example\n"
            "git commit --quiet --all -m bump; git pull --quiet --rebase; git push --quiet; cat .git/config"
        },
        secrets={"GITOPS": "wl_robot_4471aa"},
    )
    assert ran.conclusion == "success", ran.everything
    assert "extraheader = AUTHORIZATION: basic ***" in ran.printed(2)
    assert "wl_robot" not in ran.everything
    check = forge.run({**CHECKOUT, "with": {"repository": "acme/gitops"}}, {"run": "cat tag"})
    assert check.printed(2) == "new\n"
    assert "--unset-all" in ran.log(3)


def test_checkout_without_credentials_kept(forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "1"})
    ran = forge.run(
        {**CHECKOUT, "with": {"persist-credentials": "false", "ref": "main"}}, {"run": "git fetch"}
    )
    assert ran.step(1)["outcome"] == "success"
    assert ran.step(2)["outcome"] == "failure"


def test_checkout_depth_tags_branches_and_paths(forge: Forge, server: Server) -> None:
    first = server.repository("acme/service", {"n": "1"})
    second = server.commit("acme/service", {"n": "2"}, "second")
    server.commit("acme/service", {"n": "3"}, "other", branch="feature/x")
    bare = server.repositories / "acme/service.git"
    (bare / "refs/tags/v1").write_text(first + "\n")
    ran = forge.run(
        {**CHECKOUT, "with": {"fetch-depth": "0"}},
        {"run": "git log --oneline | wc -l; git tag; git branch --remotes"},
        {**CHECKOUT, "with": {"ref": "v1", "path": "old"}},
        {"run": "cat old/n; git -C old describe --tags"},
        {**CHECKOUT, "with": {"ref": "feature/x", "path": "feature"}},
        {"run": "cat feature/n; git -C feature branch --show-current"},
        {**CHECKOUT, "with": {"ref": first, "path": "sha"}},
        {"run": "cat sha/n"},
        sha=second,
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2).split() == ["2", "v1", "origin/feature/x", "origin/main"]
    assert ran.printed(4) == "1\nv1\n" or ran.printed(4) == "1v1\n"
    assert ran.printed(6).replace("\n", " ").strip() in {"3 feature/x", "3feature/x"}
    assert ran.printed(8).strip() == "1"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"repository": "acme/none"}, "git ended with exit code"),
        ({"ref": "no-such-branch"}, "neither a branch nor a tag named 'no-such-branch'"),
        ({"ref": "--upload-pack=touch /tmp/x"}, "is not the name"),
        ({"repository": "--upload-pack=x/y"}, "is not OWNER/NAME"),
        ({"path": "../../outside"}, "leads out of"),
        ({"lfs": "true"}, "LFS"),
        ({"ssh-key": "k"}, "HTTP only"),
        ({"fetch-depth": "all"}, "not a number"),
    ],
)
def test_checkout_refuses(host_forge: Forge, server: Server, inputs: dict[str, str], message: str) -> None:
    server.repository("acme/service", {"a": "1"})
    ran = host_forge.run({**CHECKOUT, "with": inputs})
    assert ran.conclusion == "failure"
    assert message in ran.wait()["reason"], ran.everything


def test_checkout_with_a_wrong_token_asks_nobody_and_says_so(forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "1"})
    ran = forge.run({**CHECKOUT, "with": {"token": "wl_wrong", "ref": "main"}})
    assert ran.conclusion == "failure"
    assert ran.step(1)["seconds"] < 5


def test_checkout_runs_nothing_that_an_earlier_step_planted(sandboxed: Forge, server: Server) -> None:
    """A repository that a step made up must not make the runner, outside of the sandbox, run a program."""
    server.repository("acme/service", {"a": "1"})
    proof = sandboxed.data / "proof"
    proof.mkdir(parents=True)
    ran = sandboxed.run(
        {
            "run": f"git init --quiet .; printf '#!/bin/sh\\ntouch {proof}/escaped; exit 0' > /tmp/evil; chmod +x /tmp/evil\n"  # noqa: E501
            "git config core.fsmonitor /tmp/evil; git config core.sshCommand /tmp/evil; git config core.pager /tmp/evil\n"  # noqa: E501
            "mkdir -p .git/hooks; for hook in post-checkout reference-transaction pre-auto-gc; do cp /tmp/evil .git/hooks/$hook; done"  # noqa: E501
        },
        {**CHECKOUT, "with": {"ref": "main"}},
    )
    ran.wait()
    assert list(proof.iterdir()) == []


def test_unexpected_inputs_are_warned_of(host_forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "1"})
    ran = host_forge.run({**CHECKOUT, "with": {"ref": "main", "depth": "3"}})
    assert ran.conclusion == "success"
    assert "Unexpected input(s) 'depth'" in ran.of("annotation")[0]["message"]


def test_artifacts_travel_between_jobs(forge: Forge, server: Server) -> None:
    ran = forge.run(
        {
            "run": "mkdir -p dist/sub .hidden; echo a > dist/a.txt; echo b > dist/sub/b.txt; touch dist/.h; chmod +x dist/a.txt"  # noqa: E501
        },
        {"uses": "actions/upload-artifact@v4", "with": {"name": "dist", "path": "dist\n!dist/**/*.log"}},
    )
    assert ran.conclusion == "success", ran.everything
    with zipfile.ZipFile(io.BytesIO(server.artifacts["dist"])) as archive:
        assert sorted(archive.namelist()) == ["a.txt", "sub/b.txt"]
    event = ran.of("artifact")[0]
    assert (event["name"], event["size"]) == ("dist", len(server.artifacts["dist"]))
    other = forge.run(
        {"uses": "actions/download-artifact@v4", "with": {"name": "dist", "path": "in"}},
        {"run": "cat in/a.txt in/sub/b.txt; test -x in/a.txt"},
        {"uses": "actions/download-artifact@v4"},
        {"run": "ls dist"},
    )
    assert other.conclusion == "success", other.everything
    assert other.printed(2) == "a\nb\n"
    assert other.printed(4) == "a.txt\nsub\n"


def test_artifact_names_and_absence(forge: Forge, server: Server) -> None:
    ran = forge.run(
        {"uses": "actions/upload-artifact@v4", "with": {"name": "none", "path": "nothing/*"}},
        {
            "uses": "actions/upload-artifact@v4",
            "with": {"path": "nothing", "if-no-files-found": "error"},
            "if": "always()",
        },
        {"uses": "actions/upload-artifact@v4", "with": {"name": "../up", "path": "."}, "if": "always()"},
        {"uses": "actions/download-artifact@v4", "with": {"name": "absent"}, "if": "always()"},
    )
    assert ran.step(1)["outcome"] == "success"
    assert "No files were found" in ran.of("annotation", level="warning")[0]["message"]
    assert [ran.step(number)["outcome"] for number in (2, 3, 4)] == ["failure"] * 3
    assert not server.artifacts


def test_an_artifact_of_a_link_holds_only_what_the_job_may_read(sandboxed: Forge, server: Server) -> None:
    key = sandboxed.data / "keys" / "master"
    key.parent.mkdir(parents=True)
    key.write_text("the master key")
    ran = sandboxed.run(
        {"run": f"mkdir d; ln -s {key} d/key; ln -s /etc/shadow d/shadow; echo ok > d/fine"},
        {"uses": "actions/upload-artifact@v4", "with": {"name": "d", "path": "d"}, "continue-on-error": True},
    )
    ran.wait()
    for data in server.artifacts.values():
        assert b"master key" not in data
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert "key" not in archive.namelist()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil-zip", "a/../../evil", "..\\evil", "C:\\evil"])
def test_artifacts_cannot_write_elsewhere(forge: Forge, server: Server, name: str) -> None:
    """CVE-2024-42471: a zip entry that leads out of the directory."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("fine", "1")
        archive.writestr(name, "evil")
    server.artifacts["bad"] = data.getvalue()
    ran = forge.run({"uses": "actions/download-artifact@v4", "with": {"name": "bad", "path": "in"}})
    assert ran.conclusion == "failure"
    assert "leads out" in ran.wait()["reason"]


def test_artifacts_cannot_plant_links(forge: Forge, server: Server) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    server.artifacts["bad"] = data.getvalue()
    ran = forge.run({"uses": "actions/download-artifact@v4", "with": {"name": "bad"}})
    assert ran.conclusion == "failure"
    assert "neither a file nor a directory" in ran.wait()["reason"]


def test_coverage_in_an_artifact_is_read(forge: Forge, server: Server) -> None:
    ran = forge.run(
        {"run": 'echo \'<?xml version="1.0"?><coverage line-rate="0.875" x="1">\' > coverage.xml'},
        {"uses": "actions/upload-artifact@v4", "with": {"name": "coverage", "path": "coverage.xml"}},
    )
    assert ran.of("coverage")[0]["percent"] == 87.5


def test_caches(forge: Forge, server: Server) -> None:
    step = {
        "uses": "actions/cache@v4",
        "id": "c",
        "with": {"path": "~/.stuff\nlocal", "key": "k-1", "restore-keys": "k-"},
    }
    make = {"run": "mkdir -p ~/.stuff local; echo 1 > ~/.stuff/a; echo 2 > local/b"}
    first = forge.run(step, {"if": "${{ !steps.c.outputs.cache-hit }}", **make})
    assert first.conclusion == "success", first.everything
    assert first.step(1)["outputs"] == {"cache-primary-key": "k-1"}
    assert first.step(2)["outcome"] == "success"
    second = forge.run(step, {"run": "cat ~/.stuff/a local/b"})
    assert second.printed(2) == "1\n2\n", second.everything
    assert second.step(1)["outputs"]["cache-hit"] == "true"
    assert len(server.caches) == 1
    other = {**step, "with": {**step["with"], "key": "k-2"}}  # type: ignore[dict-item]
    third = forge.run(other, {"run": "cat local/b"})
    assert third.printed(2) == "2\n"
    assert third.step(1)["outputs"]["cache-matched-key"] == "k-1"
    assert third.step(1)["outputs"]["cache-hit"] == "false"


def test_an_entry_that_cannot_be_unpacked_is_none(host_forge: Forge, server: Server) -> None:
    step = {"uses": "actions/cache@v4", "with": {"path": "local", "key": "k"}}
    host_forge.run(step, {"run": "mkdir local; echo 1 > local/a"})
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:") as archive:
        archive.addfile(tarfile.TarInfo("workspace/../../../../../etc/evil"))
    server.caches[1]["data"] = data.getvalue()
    ran = host_forge.run(step, {"run": "true"})
    assert ran.conclusion == "success"
    assert ran.step(1)["outputs"] == {"cache-primary-key": "k"}
    assert "leads out of the job's directories" in ran.log(1)


def test_links_in_a_cache_stay_and_what_is_elsewhere_is_left_out(forge: Forge, server: Server) -> None:
    paths = "~/.one\none/*\n/etc/passwd"
    step = {"uses": "actions/cache@v4", "with": {"path": paths, "key": "k"}}
    make = "mkdir ~/.one one; echo 1 > ~/.one/a; echo 1 > one/b; ln one/b one/c; ln ~/.one/a ~/.one/e"
    first = forge.run(step, {"run": f"{make}; ln -s b one/d"})
    assert first.conclusion == "success", first.everything
    assert "/etc/passwd is left out: it is not under the workspace" in first.log(3)
    assert "Cache saved with key: k" in first.log(3)
    second = forge.run(step, {"run": "cat one/b one/c one/d ~/.one/e"})
    assert second.printed(2) == "1\n" * 4, second.everything


@pytest.mark.parametrize("name", ["usr/evil", "home/../etc/windlass-evil", "workspace/link/windlass-evil"])
def test_caches_cannot_write_elsewhere(forge: Forge, server: Server, name: str) -> None:
    """What another job stored may be anything: a path that leads out, or one that goes through a link it brings."""
    step = {"uses": "actions/cache@v4", "id": "c", "with": {"path": "local", "key": "k"}}
    forge.run(step, {"run": "mkdir local; touch local/x"})
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        planted = tarfile.TarInfo("workspace/link")
        planted.type, planted.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(planted)
        archive.addfile(tarfile.TarInfo(name))
    server.caches[1]["data"] = data.getvalue()
    ran = forge.run(step, {"run": "true"})
    assert f"{name!r} leads out of the job's directories" in ran.everything
    assert "cache-hit" not in ran.step(1)["outputs"]
    assert not Path("/etc/windlass-evil").exists()


def test_a_failed_job_saves_no_cache(forge: Forge, server: Server) -> None:
    forge.run(
        {"uses": "actions/cache@v4", "with": {"path": "local", "key": "k"}},
        {"run": "mkdir local; touch local/x; exit 1"},
    )
    assert server.caches == {}


def test_post_steps_run_in_reverse_order_whatever_happened(forge: Forge, server: Server) -> None:
    server.repository("acme/service", {"a": "1"})
    login = {
        "uses": "docker/login-action@v3",
        "with": {"registry": "ghcr.io", "username": "a", "password": "b-password"},
    }
    ran = forge.run(
        {**CHECKOUT, "name": "Get", "with": {"ref": "main"}}, {**login, "name": "Log in"}, {"run": "exit 1"}
    )
    names = [event["name"] for event in ran.of("step.started")]
    assert names == ["Set up job", "Get", "Log in", "Run exit 1", "Post Log in", "Post Get", "Complete job"]


def test_login_is_for_this_job_and_its_runner_only(forge: Forge) -> None:
    forge.mirrors = {"ghcr.io": "127.0.0.1:8700"}
    ran = forge.start(
        [
            {
                "uses": "docker/login-action@v3",
                "with": {"registry": "ghcr.io", "username": "anna", "password": "${{ github.token }}"},
            },
            {
                "run": "stat -c %a $DOCKER_CONFIG/config.json; python3 -c \"import json,os; print(sorted(json.load(open(os.environ['DOCKER_CONFIG']+'/config.json'))['auths']))\"; sleep 0.3"  # noqa: E501
            },
        ]
    )
    while "auths" not in ran.printed(2) and "8700" not in ran.printed(2):
        assert not ran.of("job.finished"), ran.everything
    path = ran.directory / "auth" / "config.json"
    assert json.loads(path.read_text())["auths"].keys() == {"ghcr.io", "127.0.0.1:8700"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert ran.conclusion == "success"
    assert ran.printed(2).startswith("600\n['127.0.0.1:8700', 'ghcr.io']")
    assert TOKEN not in ran.everything


def test_tools_are_verified(forge: Forge) -> None:
    ran = forge.run({"uses": "azure/setup-helm@v4"})
    if ran.conclusion == "failure":
        assert "helm is not on this machine's PATH" in ran.wait()["reason"]


def test_setup_uv(forge: Forge) -> None:
    ran = forge.run(
        {"uses": "astral-sh/setup-uv@v5", "id": "uv", "with": {"python-version": "3.11"}},
        {"run": "uv --version; echo $UV_PYTHON $UV_PYTHON_DOWNLOADS"},
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(2).splitlines()[1] == "3.11 never"
    assert ran.step(1)["outputs"]["uv-version"] in ran.printed(2)


def test_setup_uv_of_another_version_is_refused(host_forge: Forge) -> None:
    ran = host_forge.run({"uses": "astral-sh/setup-uv@v5", "with": {"version": "0.0.1"}})
    assert "uv 0.0.1 is wanted" in ran.wait()["reason"]


@pytest.mark.integration
def test_pip_install_for_the_user_goes_into_the_environment(forge: Forge) -> None:
    """As the packaging guide's own workflow has it: `python3 -m pip install build --user`."""
    project = "[project]\nname = 'mine'\nversion = '1'\n[tool.setuptools]\npy-modules = ['mine']\n"
    ran = forge.run(
        {"uses": "actions/setup-python@v5", "with": {"python-version": "3.x", "pip-install": "setuptools"}},
        {"run": f"cat > pyproject.toml <<'END'\n{project}END\necho 'WHERE = __file__' > mine.py"},
        {"run": "python3 -m pip install --no-deps --no-build-isolation . --user"},
        {"run": "pip install --user --no-deps --no-build-isolation --force-reinstall ."},
        {
            "run": "cd /; python3 -c 'import mine, sys; print(mine.WHERE.startswith(sys.prefix), sys.argv)' --user"
        },
    )
    assert ran.conclusion == "success", ran.everything
    assert ran.printed(5) == "True ['-c', '--user']\n"


def test_setup_python_of_a_version_that_is_nowhere(host_forge: Forge) -> None:
    ran = host_forge.run({"uses": "actions/setup-python@v5", "with": {"python-version": "2.4"}})
    assert ran.conclusion == "failure"
    assert "Python 2.4 is not on this machine" in ran.wait()["reason"]
    assert "error: No download found for request: cpython-2.4" in ran.log(1)
