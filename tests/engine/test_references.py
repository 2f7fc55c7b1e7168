from __future__ import annotations

import pytest

from windlass.engine.references import Location, ReferenceSyntaxError, is_loopback, locate, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("acme/x", "docker.io/acme/x:latest"),
        ("docker.io/python:3", "docker.io/library/python:3"),
        ("index.docker.io/acme/x:1", "docker.io/acme/x:1"),
        ("ghcr.io/acme/x:sha-1", "ghcr.io/acme/x:sha-1"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x:2", "localhost:5000/x:2"),
        ("127.0.0.1:8700/acme/a/b-c__d.e:1", "127.0.0.1:8700/acme/a/b-c__d.e:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        (f"ghcr.io/acme/x:1@{DIGEST}", f"ghcr.io/acme/x@{DIGEST}"),
        (f"x@{DIGEST}", f"docker.io/library/x@{DIGEST}"),
        ("GHCR.IO/acme/x:1", "GHCR.IO/acme/x:1"),
    ],
)
def test_a_reference_is_spelled_out(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/x",
        "x/",
        "Acme/x",
        "ghcr.io/Acme/x",
        "x:",
        "x@sha256:abc",
        "x y",
        "-x",
        "ghcr.io/../x",
        "a//b",
        "x" * 600,
        "x:1:2",
        "ghcr.io/",
        "--flag",
        "x\n",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError, match="not an image reference"):
        parse_reference(text)


def test_mirrors_change_the_place_and_tls_only_for_loopback() -> None:
    mirrors = {"ghcr.io": "127.0.0.1:8700", "quay.io": "mirror.example:443"}
    assert locate("ghcr.io/acme/x:1", mirrors) == Location("127.0.0.1:8700/acme/x:1", "127.0.0.1:8700", False)
    assert locate(f"ghcr.io/acme/x:1@{DIGEST}", mirrors).reference == f"127.0.0.1:8700/acme/x@{DIGEST}"
    assert locate("quay.io/a/b:1", mirrors) == Location(
        "mirror.example:443/a/b:1", "mirror.example:443", True
    )
    assert locate("python:3", mirrors) == Location("docker.io/library/python:3", "docker.io", True)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost:1", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("10.0.0.1:80", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
