from __future__ import annotations

import pytest

from windlass.images.dockerfile import base_images, before_each_run, parse_dockerfile, substitute


def bases(text: str, target: str = "", **arguments: str) -> list[str]:
    return base_images(parse_dockerfile(text), arguments, target)


def test_base_images_are_those_from_outside_in_order_and_once() -> None:
    text = """\
# syntax=docker/dockerfile:1
FROM python:3.11-slim AS Build
COPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/
RUN --mount=from=busybox,target=/b --mount=type=cache,target=/c true
FROM --platform=linux/amd64 build AS test
FROM scratch
COPY --from=0 /x /x
COPY --from=build /y /y
COPY --chown=1:1 --from=nginx /z /z
FROM python:3.11-slim
"""
    assert bases(text) == ["python:3.11-slim", "ghcr.io/astral-sh/uv:0.5", "busybox", "nginx"]


def test_a_target_needs_no_later_bases() -> None:
    assert bases("FROM a AS one\nFROM b AS two\nFROM c\n", target="one") == ["a"]
    assert bases("FROM a AS one\nFROM b AS two\nFROM c\n", target="TWO") == ["a", "b"]


def test_arguments_before_the_first_from_are_substituted() -> None:
    text = 'ARG V=3.11\nARG IMAGE="python:${V}-slim"\nFROM $IMAGE\nARG V=9\nFROM x:${W:-1}\n'
    assert bases(text) == ["python:3.11-slim", "x:1"]
    assert bases(text, V="3.12") == ["python:3.12-slim", "x:1"]
    assert bases("ARG A\nFROM x:${A:-d}\n", A="e") == ["x:e"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("${A}b", "1b"),
        ("${B:-w}", "w"),
        ("${A:-w}", "1"),
        ("${A:+w}", "w"),
        ("${B:+w}", ""),
        ("${E-w}", ""),
        ("${E:-w}", "w"),
        ("\\$A", "$A"),
        ("$B", ""),
    ],
)
def test_substitution(text: str, value: str) -> None:
    assert substitute(text, {"A": "1", "E": ""}) == value


def test_continuations_comments_and_heredocs_are_no_instructions() -> None:
    text = """\
from a
run one \\
  # a comment \\
\\

  && FROM two
RUN <<EOF cat && cat <<-'END'
FROM three
EOF
FROM four
\tEND
COPY <<"X.Y" /f
FROM five
X.Y
RUN echo "$(( 1 << 2 ))" a<<<b
FROM six
"""
    parsed = parse_dockerfile(text)
    assert [(i.keyword, i.first, i.last) for i in parsed.instructions] == [
        ("FROM", 1, 1),
        ("RUN", 2, 6),
        ("RUN", 7, 11),
        ("COPY", 12, 14),
        ("RUN", 15, 15),
        ("FROM", 16, 16),
    ]
    assert bases(text) == ["a", "six"]


def test_the_escape_directive_is_followed() -> None:
    assert bases("# escape=`\nFROM a\nRUN x `\nFROM b\nRUN y \\\nFROM c\n") == ["a", "c"]
    assert bases("# no directive\n# escape=`\nFROM a\nRUN y \\\nFROM c\n") == ["a"]


def test_flags_go_on_each_run_and_arguments_into_each_stage() -> None:
    text = "FROM a \\\n  AS one\nRUN x\nrun --network=none \\\n y\nFROM b\n  RUN <<EOF\nRUN z\nEOF\n"
    assert before_each_run(parse_dockerfile(text), ["--mount=m"], {"A": "/p", "B": "/q"}) == (
        "FROM a \\\n  AS one\nARG A=/p B=/q\nRUN --mount=m x\nrun --mount=m --network=none \\\n y\n"
        "FROM b\nARG A=/p B=/q\n  RUN --mount=m <<EOF\nRUN z\nEOF\n"
    )


def test_nonsense_is_left_to_the_engine() -> None:
    assert bases("") == []
    assert bases("FROM\nFROM $UNSET\nHELLO world\n\\\n") == []
    assert parse_dockerfile("RUN <<EOF\nnever closed\n").instructions[0].last == 1
