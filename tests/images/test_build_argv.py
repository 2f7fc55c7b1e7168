from __future__ import annotations

from pathlib import Path

import pytest

from windlass.engine.cli import Tool
from windlass.engine.cli.limits import HostLimits
from windlass.images import BuildRequest, argv
from windlass.images.build import what_helps

LIMITS = HostLimits(20000, 32768)
PODMAN = Tool("podman", "podman", LIMITS, ("--runtime", "runc"))
DOCKER = Tool("docker", "docker", LIMITS, ("--host", "unix:///d.sock"))
FULL = BuildRequest(
    context=Path("/c"),
    tags=("ghcr.io/acme/x:1", "ghcr.io/acme/x:latest"),
    dockerfile=Path("/c/D"),
    target="prod",
    build_args={"TOKEN": "very secret", "PATH": "/bin"},
    labels={"a": "b c"},
    platforms=("linux/amd64", "linux/arm64"),
    secrets={"key": Path("/k")},
    cache_from=("ghcr.io/acme/x:cache",),
    no_cache=True,
    timestamp=0,
    network="host",
    add_hosts=(("db", "10.0.0.1"),),
)
COMMON = (
    "--file", "/s/D", "--iidfile", "/s/iid", "--tag", "ghcr.io/acme/x:1", "--tag", "ghcr.io/acme/x:latest",
    "--label", "a=b c", "--target", "prod", "--network", "host", "--platform", "linux/amd64,linux/arm64",
    "--cache-from", "ghcr.io/acme/x:cache", "--no-cache", "--add-host", "db:10.0.0.1", "--secret", "id=key,src=/k",
    "--build-arg", "TOKEN", "--build-arg", "PATH=/bin", "/c",
)  # fmt: skip


def test_podman_with_everything() -> None:
    paths = argv.Paths(Path("/s/D"), Path("/s/iid"), runtime=Path("/s/runtime"))
    command = argv.podman(PODMAN, FULL, paths, auth_file=Path("/a.json"))
    assert command.argv == (
        "podman", "--runtime", "runc", "build", "--isolation", "oci", "--layers", "--force-rm",
        "--runtime", "/s/runtime", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=32768:32768",
        "--timestamp", "0", "--authfile", "/a.json", *COMMON,
    )  # fmt: skip
    assert command.env == {"TOKEN": "very secret"}


def test_docker_with_buildkit() -> None:
    paths = argv.Paths(
        Path("/s/D"), Path("/s/iid"), aids={"pip/pip.conf": Path("/s/1"), "ca.pem": Path("/s/0")}
    )
    command = argv.docker(
        DOCKER, FULL, paths, buildkit="buildx", auth_file=Path("/a/config.json"), proxies=("https_proxy",)
    )
    assert command.argv == (
        "docker", "--host", "unix:///d.sock", "buildx", "build", "--load", "--build-arg", "https_proxy",
        "--progress", "plain", "--secret", "id=windlass-aid-ca.pem,src=/s/0",
        "--secret", "id=windlass-aid-pip-pip.conf,src=/s/1", "--build-arg", "SOURCE_DATE_EPOCH=0", *COMMON,
    )  # fmt: skip
    assert command.env == {"TOKEN": "very secret", "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": "/a"}
    builtin = argv.docker(DOCKER, FULL, paths, buildkit="builtin", auth_file=None).argv
    assert builtin[3:6] == ("build", "--progress", "plain")


def test_docker_without_buildkit() -> None:
    paths = argv.Paths(Path("/c/Dockerfile"), Path("/s/iid"))
    command = argv.docker(DOCKER, BuildRequest(Path("/c")), paths, buildkit="", auth_file=None)
    assert command.argv[3:] == ("build", "--file", "/c/Dockerfile", "--iidfile", "/s/iid", "/c")
    assert command.env == {"DOCKER_BUILDKIT": "0"}


def test_the_flags_that_show_aids_to_run() -> None:
    assert argv.secret_mounts(["pip/pip.conf", "ca.pem"], "/dev/windlass") == [
        "--mount=type=secret,id=windlass-aid-ca.pem,target=/dev/windlass/ca.pem,mode=0444",
        "--mount=type=secret,id=windlass-aid-pip-pip.conf,target=/dev/windlass/pip/pip.conf,mode=0444",
    ]


@pytest.mark.parametrize(
    ("output", "unaided", "helps"),
    [
        ("dial tcp 1.2.3.4:443: connection refused", False, "out of reach"),
        ("SSLError: certificate verify failed", False, "set SSL_CERT_FILE"),
        ("SSLError: certificate verify failed", True, "install docker-buildx"),
        ("write: no space left on device", False, "free disk space"),
        ("boom", False, "names the step"),
    ],
)
def test_what_helps_follows_from_the_output(output: str, unaided: bool, helps: str) -> None:
    assert helps in what_helps(output, unaided=unaided)
