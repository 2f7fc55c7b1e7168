from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.registry import BadReferenceError, Reference

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("python:3.11-slim", "docker.io", "library/python", "3.11-slim", None),
        ("acme/x", "docker.io", "acme/x", None, None),
        ("docker.io/python", "docker.io", "library/python", None, None),
        ("index.docker.io/acme/x", "docker.io", "acme/x", None, None),
        ("ghcr.io/acme/x:v1", "ghcr.io", "acme/x", "v1", None),
        (f"ghcr.io/acme/x:v1@{DIGEST}", "ghcr.io", "acme/x", "v1", DIGEST),
        (f"localhost/x@{DIGEST}", "localhost", "x", None, DIGEST),
        ("localhost:5000/x", "localhost:5000", "x", None, None),
        ("127.0.0.1:8700/acme/x:sha-0123456", "127.0.0.1:8700", "acme/x", "sha-0123456", None),
        ("[::1]:5000/a/b/c:t", "[::1]:5000", "a/b/c", "t", None),
        ("registry:5000/x", "registry:5000", "x", None, None),
    ],
)
def test_references(text: str, host: str, path: str, tag: str | None, digest: str | None) -> None:
    assert Reference.parse(text) == Reference(host, path, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            "@",
            "x:",
            "x@",
            "X",
            "acme/X",
            "acme//x",
            "/acme/x",
            "acme/x/",
            "x:a b",
            "-x",
            "x-",
            "x..y",
        ),
        *("ghcr.io/", "ghcr.io/:v1", "x@sha256:abc", f"x@{DIGEST}0", "x@md5:00", "http://ghcr.io/x", "a\nb"),
        *("ghcr.io:port/x", "x:" + "t" * 129, "a/" * 200 + "a", "../x", "x:.t", "user@host/x", "ghcr..io/x"),
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(BadReferenceError):
        Reference.parse(text)


words = st.text("abc019", min_size=1, max_size=5)
components = st.tuples(words, st.sampled_from([".", "_", "__", "-", "---"]), words).map("".join) | words
hosts = st.sampled_from(["ghcr.io", "localhost", "127.0.0.1:8700", "[::1]:1", "docker.io", "Example.COM:443"])
tags = st.none() | st.tuples(words, st.text("aZ0._-", max_size=20)).map("".join)


@given(hosts, st.lists(components, min_size=2, max_size=4), tags, st.sampled_from([None, DIGEST]))
def test_what_is_written_is_read_again(
    host: str, parts: list[str], tag: str | None, digest: str | None
) -> None:
    reference = Reference(host, "/".join(parts), tag, digest)
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused_and_parsing_is_stable(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except BadReferenceError:
        return
    assert Reference.parse(str(reference)) == reference


def test_mirrors_and_pins() -> None:
    reference = Reference.parse("ghcr.io/acme/x:v1")
    assert str(reference.mirrored({"ghcr.io": "127.0.0.1:8700"})) == "127.0.0.1:8700/acme/x:v1"
    assert reference.mirrored({"quay.io": "127.0.0.1:8700"}) == reference
    assert str(reference.at(DIGEST)) == f"ghcr.io/acme/x@{DIGEST}"
    assert (Reference.parse("x").version, reference.version, reference.at(DIGEST).version) == (
        "latest",
        "v1",
        DIGEST,
    )
