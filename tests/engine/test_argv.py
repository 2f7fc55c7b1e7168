from __future__ import annotations

from pathlib import Path

import pytest

from windlass.engine import ContainerSpec, Mount, Port
from windlass.engine.choose import Facts, podman_flags
from windlass.engine.cli import argv
from windlass.engine.cli.argv import Tool
from windlass.engine.cli.limits import HostLimits, ulimits

LIMITS = HostLimits(nofile=20000, nproc=32768)
PODMAN = Tool("podman", "podman", LIMITS, ("--runtime", "runc"))
DOCKER = Tool("docker", "docker", LIMITS, ("--host", "unix:///d.sock"))
ALL = frozenset({"memory", "cpus", "pids", "swap"})
FULL = ContainerSpec(
    name="pod-1",
    image="127.0.0.1:8700/acme/x@sha256:0",
    entrypoint=("/entry", "-v"),
    command=("serve", "--port", "1"),
    env={"TOKEN": "very secret", "PATH": "/bin", "A": "line\nline"},
    labels={"windlass.dev/uid": "1", "a": "b=c"},
    ports=(Port(8000), Port(53, 5353, "udp", "::1")),
    mounts=(
        Mount("/data, with comma", "/data", read_only=True),
        Mount("cache", "/cache", "volume"),
        Mount("", "/tmp", "tmpfs", size=1048576),
    ),
    network="windlass-1-default",
    aliases=("svc",),
    hosts_file="/kube/hosts",
    hostname="pod",
    memory=134217728,
    cpus=0.5,
    pids=100,
    user="10001:1",
    workdir="/app",
    read_only=True,
    cap_drop=("ALL",),
    cap_add=("NET_BIND_SERVICE",),
    ulimits=(("core", 0, 0), ("nofile", 1024, 999999)),
    init=True,
    stop_signal="SIGQUIT",
)


def test_podman_create_with_everything() -> None:
    command = argv.create(PODMAN, FULL, limit=ALL)
    assert command.argv == (
        "podman", "--runtime", "runc", "create", "--pull=never", "--no-healthcheck", "--name", "pod-1",
        "--log-driver", "k8s-file", "--log-opt", "max-size=64mb",
        "--label", "a=b=c", "--label", "windlass.dev/uid=1",
        "--env", "A", "--env", "TOKEN", "--env", "PATH=/bin",
        "--network", "windlass-1-default", "--hostname", "pod", "--network-alias", "svc",
        "--publish", "127.0.0.1::8000/tcp", "--publish", "[::1]:5353:53/udp",
        "--no-hosts", "--mount", "type=bind,source=/kube/hosts,target=/etc/hosts,readonly",
        "--memory", "134217728", "--memory-swap", "134217728", "--cpus", "0.5", "--pids-limit", "100",
        "--ulimit", "core=0:0", "--ulimit", "nofile=1024:20000", "--ulimit", "nproc=32768:32768",
        "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt", "no-new-privileges",
        "--mount", 'type=bind,"source=/data, with comma",target=/data,readonly',
        "--mount", "type=volume,source=cache,target=/cache",
        "--mount", "type=tmpfs,target=/tmp,tmpfs-size=1048576",
        "--user", "10001:1", "--workdir", "/app", "--stop-signal", "SIGQUIT", "--init",
        "--http-proxy=false", "--entrypoint", "/entry", "--", "127.0.0.1:8700/acme/x@sha256:0",
        "-v", "serve", "--port", "1",
    )  # fmt: skip
    assert command.env == {"TOKEN": "very secret", "A": "line\nline"}
    assert "secret" not in repr(command)


def test_docker_run_differs_only_in_its_dialect() -> None:
    spec = ContainerSpec(
        "x", "acme/x:1", hosts=(("db", "10.0.0.1"),), privileged=True, cap_drop=("ALL",), tty=True
    )
    assert argv.create(DOCKER, spec, run=True, limit=frozenset()).argv == (
        "docker", "--host", "unix:///d.sock", "run", "--detach", "--pull=never", "--no-healthcheck", "--name", "x",
        "--log-driver", "json-file", "--log-opt", "max-size=64m", "--add-host", "db:10.0.0.1",
        "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=32768:32768", "--privileged", "--tty", "--", "acme/x:1",
    )  # fmt: skip
    with_hosts = argv.create(DOCKER, ContainerSpec("x", "y", hosts_file="/h"), limit=ALL).argv
    assert "--no-hosts" not in with_hosts
    assert "type=bind,source=/h,target=/etc/hosts,readonly" in with_hosts


def test_a_limit_that_cannot_be_enforced_is_left_out() -> None:
    line = argv.create(PODMAN, FULL, limit=frozenset({"memory"})).argv
    assert "--memory" in line
    assert not {"--memory-swap", "--cpus", "--pids-limit"} & set(line)


def test_host_networking_publishes_nothing() -> None:
    line = argv.create(
        PODMAN, ContainerSpec("x", "y", network="host", ports=(Port(1),), aliases=("a",)), limit=ALL
    ).argv
    assert not {"--publish", "--network-alias"} & set(line)


@pytest.mark.parametrize(
    "name", ["CONTAINERS_CONF", "DOCKER_HOST", "PATH", "HOME", "LD_PRELOAD", "https_proxy"]
)
def test_variables_of_the_client_itself_never_reach_its_environment(name: str) -> None:
    for command in (
        argv.create(PODMAN, ContainerSpec("x", "y", env={name: "v"}), limit=ALL),
        argv.execute(DOCKER, "c", ["true"], env={name: "v"}, stdin=False, user="", workdir=""),
    ):
        assert name not in command.env
        assert f"{name}=v" in command.argv


def test_the_other_commands() -> None:
    image, auth = "ghcr.io/acme/x:1", Path("/k/config.json")
    assert argv.pull(PODMAN, image, auth_file=auth, tls_verify=False).argv[3:] == (
        "pull", "--quiet", "--authfile", "/k/config.json", "--tls-verify=false", image,
    )  # fmt: skip
    docker_pull = argv.pull(DOCKER, image, auth_file=auth, tls_verify=False)
    assert (docker_pull.argv[3:], docker_pull.env) == (("pull", "--quiet", image), {"DOCKER_CONFIG": "/k"})
    to, digest = "127.0.0.1:1/a", Path("/d")
    assert argv.push(PODMAN, "a", to, auth_file=None, tls_verify=True, digest_file=digest).argv[3:] == (
        "push", "--tls-verify=true", "--digestfile", "/d", "a", "docker://127.0.0.1:1/a",
    )  # fmt: skip
    assert argv.push(DOCKER, "a", to, auth_file=None, tls_verify=True, digest_file=digest).argv[3:] == (
        "push", "127.0.0.1:1/a",
    )  # fmt: skip
    assert argv.logs(PODMAN, "c", follow=True, tail=5, since="2026-01-01T00:00:00Z", timestamps=True).argv[3:] == (
        "logs", "--follow", "--tail", "5", "--since", "2026-01-01T00:00:00Z", "--timestamps", "c",
    )  # fmt: skip
    assert argv.listing(DOCKER, {"a": "", "b": "c"}).argv[3:] == (
        "ps", "--all", "--quiet", "--no-trunc", "--filter", "label=a", "--filter", "label=b=c",
    )  # fmt: skip
    assert argv.events(PODMAN, {"a": "b"}, since="T").argv[3:] == (
        "events", "--since", "T", "--format", "json", "--filter", "type=container", "--filter", "label=a=b",
    )  # fmt: skip
    assert argv.stop(PODMAN, "c", 0.2).argv[3:] == ("stop", "-t", "1", "c")
    assert argv.remove(PODMAN, "c").argv[3:] == ("rm", "--force", "--volumes", "--ignore", "-t", "0", "c")
    assert argv.remove(DOCKER, "c").argv[3:] == ("rm", "--force", "--volumes", "c")
    assert argv.network_create(PODMAN, "n", {"a": "b"}, dns=False).argv[3:] == (
        "network", "create", "--disable-dns", "--label", "a=b", "n",
    )  # fmt: skip
    assert argv.network_create(PODMAN, "n", {}, dns=True).argv[3:] == ("network", "create", "n")
    assert argv.network_create(DOCKER, "n", {}, dns=False).argv[3:] == ("network", "create", "n")
    assert argv.network_listing(DOCKER, {"a": "b"}).argv[3:] == (
        "network", "ls", "--format", "{{.Name}}", "--filter", "label=a=b",
    )  # fmt: skip
    assert argv.execute(PODMAN, "c", ["ls", "-l"], env={"A": "b"}, stdin=True, user="u", workdir="/w").argv[3:] == (
        "exec", "--interactive", "--env", "A", "--user", "u", "--workdir", "/w", "c", "ls", "-l",
    )  # fmt: skip
    assert argv.import_image(DOCKER, Path("/t.tar"), "n:1", ("CMD x",)).argv[3:] == (
        "import", "--change", "CMD x", "/t.tar", "n:1",
    )  # fmt: skip


def test_ulimits_stay_within_the_machines() -> None:
    assert ulimits((), LIMITS) == (("nofile", 20000, 20000), ("nproc", 32768, 32768))
    assert ulimits((("nproc", 10, 99999), ("core", 1, 2)), LIMITS) == (
        ("nproc", 10, 32768), ("core", 1, 2), ("nofile", 20000, 20000),
    )  # fmt: skip


def test_podmans_flags_follow_the_machine() -> None:
    assert podman_flags(Facts(systemd=True, cgroup_v2=True, runtimes=("crun",))) == ("--log-level", "error")
    assert podman_flags(Facts(systemd=False, cgroup_v2=False, runtimes=("crun", "runc"))) == (
        "--log-level", "error", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc",
    )  # fmt: skip
    assert "--runtime" not in podman_flags(Facts(systemd=False, cgroup_v2=False, runtimes=("crun",)))


def test_variables_that_would_act_on_the_client_itself_are_arguments() -> None:
    given = {"LD_AUDIT": "/x.so", "GCONV_PATH": "/x", "CONTAINERS_HELPER_BINARY_DIR": "/x", "TOKEN": "secret"}
    hidden, shown = argv.split_env(given)
    assert hidden == {"TOKEN": "secret"}
    assert set(shown) == {"LD_AUDIT", "GCONV_PATH", "CONTAINERS_HELPER_BINARY_DIR"}
