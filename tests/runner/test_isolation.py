"""What a sandboxed step can reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.conftest import isolated
from windlass.runner.bubblewrap import Machine, arguments
from windlass.runner.errors import PathError
from windlass.runner.paths import Paths, Place, trust_zone

if TYPE_CHECKING:
    from runner.conftest import Forge

pytestmark = pytest.mark.integration

PLACES = Paths(
    workspace=Place(Path("/d/jobs/1/work"), "/home/runner/work/x/x"),
    temp=Place(Path("/d/jobs/1/temp"), "/home/runner/work/_temp"),
    home=Place(Path("/d/jobs/1/home"), "/home/runner"),
    files=Place(Path("/d/jobs/1/files"), "/home/runner/work/_temp/_runner_file_commands"),
    tools=Place(Path("/d/caches/x/default"), "/run/windlass/tools"),
    bin=Place(Path("/d/run/shims-isolated"), "/run/windlass/bin"),
    actions=Place(Path("/d/jobs/1/actions"), "/home/runner/work/_actions"),
)


def test_arguments() -> None:
    machine = Machine(
        system=(("/usr", ""), ("/bin", "usr/bin"), ("/etc", "")),
        read_only=("/d/venv",),
        private=("/etc/shadow",),
        user_namespace=True,
    )
    assert " ".join(arguments(machine, PLACES, Path("/d"), Path("/d/jobs/1"))) == (
        "--unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --die-with-parent --as-pid-1 --new-session "
        "--clearenv --cap-drop ALL --unshare-user --uid 1001 --gid 1001 "
        "--ro-bind /usr /usr --symlink usr/bin /bin --ro-bind /etc /etc "
        "--dev /dev --proc /proc --ro-bind-try /sys /sys --tmpfs /run "
        "--tmpfs /var --bind /d/jobs/1/tmp /tmp --symlink /tmp /var/tmp "
        "--ro-bind /dev/null /etc/shadow --ro-bind /d/venv /d/venv "
        "--ro-bind /d/run/people/passwd /etc/passwd --ro-bind /d/run/people/group /etc/group "
        "--bind /d/jobs/1/home /home/runner --bind /d/jobs/1/work /home/runner/work/x/x "
        "--bind /d/jobs/1/temp /home/runner/work/_temp "
        "--bind /d/jobs/1/files /home/runner/work/_temp/_runner_file_commands "
        "--bind /d/caches/x/default /run/windlass/tools "
        "--bind /d/jobs/1/actions /home/runner/work/_actions "
        "--ro-bind /d/run/shims-isolated /run/windlass/bin --chdir /home/runner"
    )


def test_the_data_directory_is_hidden_where_the_system_would_show_it() -> None:
    machine = Machine((("/opt", ""),), (), (), user_namespace=False)
    made = arguments(machine, PLACES, Path("/opt/windlass/data"), Path("/opt/windlass/data/jobs/1"))
    at = made.index("/opt/windlass/data")
    assert made[at - 1] == "--tmpfs"
    assert at > made.index("/opt")
    assert at < made.index("/home/runner")
    assert "--unshare-user" not in made


def test_the_system_is_read_only_and_the_rest_is_the_jobs_own(sandboxed: Forge) -> None:
    ran = sandboxed.script(
        "for place in /usr/x /etc/x /opt/x /run/windlass/bin/x /sys/x; do touch $place 2>/dev/null && echo wrote $place; done\n"  # noqa: E501
        "touch /tmp/x /var/tmp/y ~/x $RUNNER_TEMP/x x $RUNNER_TOOL_CACHE/x && echo own\n"
        "id -un; echo $HOME $PWD"
    )
    assert "wrote" not in ran.printed()
    assert ran.printed().startswith("own\n")
    assert "runner\n/home/runner /home/runner/work/service/service\n" in ran.printed()


def test_private_files_and_sockets_are_out_of_reach(sandboxed: Forge) -> None:
    secret = sandboxed.data / "keys" / "master"
    secret.parent.mkdir(parents=True)
    secret.write_text("the master key")
    ran = sandboxed.script(
        f"cat {secret} /etc/shadow /root/.ssh/* /root/.bash_history 2>&1 | grep -v 'such file\\|denied' && exit 1\n"
        "ls /run/docker.sock /var/run/docker.sock /run/podman 2>/dev/null && exit 1\n"
        f"ls {sandboxed.data} 2>/dev/null && exit 1; echo nothing"
    )
    assert ran.printed() == "nothing\n", ran.everything


def test_processes_of_the_machine_are_out_of_sight(sandboxed: Forge) -> None:
    ran = sandboxed.script(
        "ls -d /proc/[0-9]* | wc -l; kill -9 1 2>&1; mount -t tmpfs none /mnt 2>&1 || echo no mount"
    )
    assert int(ran.printed().split()[0]) < 10
    assert "no mount" in ran.printed()
    assert ran.conclusion == "success"


def test_the_sandbox_has_no_capabilities(sandboxed: Forge) -> None:
    ran = sandboxed.script("grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs' /proc/self/status")
    values = dict(line.split(":\t") for line in ran.printed().splitlines())
    assert values == {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}


def test_the_network_of_the_machine_is_there(sandboxed: Forge, server: object) -> None:
    ran = sandboxed.script(
        f"python3 - <<'X'\nimport urllib.request\ntry: urllib.request.urlopen('{sandboxed.server_url}')\nexcept urllib.error.HTTPError as error: print(error.code)\nX"  # noqa: E501
    )
    assert ran.printed() == "401\n"


def test_another_isolation_is_refused(sandboxed: Forge) -> None:
    ran = sandboxed.run({"run": "true"}, isolation="chroot")
    assert ran.conclusion == "failure"
    assert "neither bubblewrap nor host" in ran.wait()["reason"]


def test_tool_caches_are_apart(sandboxed: Forge) -> None:
    """CVE-2026-34042: what another branch or a pull request planted must not reach the default branch."""
    default = sandboxed.spec()
    zones = {
        trust_zone(default),
        trust_zone(sandboxed.spec(ref="refs/heads/feature")),
        trust_zone(sandboxed.spec(github={"event_name": "pull_request_target"})),
        trust_zone(sandboxed.spec(repository="acme/other")),
    }
    assert zones == {"acme__service/default", "acme__service/others", "acme__other/default"}
    sandboxed.run({"run": "echo evil > $UV_CACHE_DIR-evil"}, ref="refs/heads/feature")
    ran = sandboxed.script("ls $RUNNER_TOOL_CACHE")
    assert "evil" not in ran.printed()


def test_paths_are_translated_and_never_lead_out(sandboxed: Forge) -> None:
    paths = isolated(sandboxed.spec())
    work = paths.workspace.host
    (work / "link").symlink_to("/etc")
    (work / "up").symlink_to("..")
    assert paths.to_host("a/b") == work / "a" / "b"
    assert paths.to_host(f"{paths.temp.inside}/x") == paths.temp.host / "x"
    assert paths.to_inside(work / "a") == f"{paths.workspace.inside}/a"
    for bad in ("link/passwd", "/etc/passwd", "up/../../keys", "../../../../../etc"):
        with pytest.raises(PathError):
            paths.to_host(bad)


def test_settings_of_package_indexes_come_along(
    sandboxed: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from windlass.runner.environment import credentials_in
    from windlass.runner.shims import bring_settings

    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    settings = tmp_path / "me" / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text("[global]\nindex-url = https://anna:p%40ss-word@pypi.example/simple\n")
    (tmp_path / "me" / ".netrc").write_text("machine x login y password z")
    paths = isolated(sandboxed.spec())
    texts = bring_settings(paths)
    assert (paths.home.host / ".config/pip/pip.conf").read_text() == texts[0]
    assert not (paths.home.host / ".netrc").exists()
    assert credentials_in({"": texts[0]}) == [
        "anna:p%40ss-word",
        "anna:p@ss-word",
        "p%40ss-word",
        "p@ss-word",
    ]
