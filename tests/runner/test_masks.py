from __future__ import annotations

import base64
import json
import random
import shlex
import string
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.runner.masks import LineMasker, Masker, forms

SECRET = "p@ss'w\"o/rd & <more> \\ $x"
TEXT = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="*"), min_size=6, max_size=40
)


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower().replace("%2f", "%2f"),
        json.dumps(SECRET)[1:-1],
        escape(SECRET),
        escape(SECRET, {'"': "&quot;", "'": "&apos;"}),
        shlex.quote(SECRET)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        repr(SECRET)[1:-1],
    ],
)
def test_written_forms_are_hidden(written: str) -> None:
    assert Masker([SECRET]).mask_text(f"before {written} after") == "before *** after"


@pytest.mark.parametrize("shift", [0, 1, 2])
@given(secret=TEXT, before=st.binary(min_size=3, max_size=9), after=st.binary(max_size=9))
@settings(max_examples=60, deadline=None)
def test_base64_is_hidden_at_every_alignment(shift: int, secret: str, before: bytes, after: bytes) -> None:
    head = before[: 3 * (len(before) // 3)] + b"x" * shift
    encoded = base64.b64encode(head + secret.encode() + after).decode()
    masked = Masker([secret]).mask_text(encoded)
    assert "***" in masked
    core = base64.b64encode(b"\0" * shift + secret.encode())
    inner = core[(0, 2, 3)[shift] : 8 * (shift + len(secret.encode())) // 6].decode()
    assert inner not in masked


def test_wrapped_base64_is_hidden() -> None:
    secret = "".join(random.Random(3).choices(string.ascii_letters, k=300))
    wrapped = base64.encodebytes(secret.encode()).decode()
    masked = Masker([secret]).mask_text(wrapped)
    assert not any(len(line) > 20 for line in masked.splitlines())


def test_each_line_of_a_value_is_hidden_but_not_its_braces() -> None:
    key = '{\n  "private": "MIIEvQIBADANBg",\n  "id": "robot-7"\n}'
    masked = Masker([key]).mask_text('  "private": "MIIEvQIBADANBg",\n{ } ok\nrobot-7')
    assert masked == "***\n{ } ok\nrobot-7"


def test_overlapping_values_leave_nothing() -> None:
    assert Masker(["abcdef", "defghi"]).mask_text("xabcdefghix") == "x***x"


def test_blank_values_hide_nothing() -> None:
    assert Masker(["", "  ", "\n"]).mask_text("a b  c\n") == "a b  c\n"


@given(
    secrets=st.lists(TEXT, min_size=1, max_size=30),
    around=st.lists(st.text(string.ascii_lowercase + " \n", max_size=50), min_size=2, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_no_secret_survives_any_number_of_secrets(secrets: list[str], around: list[str]) -> None:
    masker = Masker(secrets)
    text = "".join(f"{piece}{secrets[at % len(secrets)]}" for at, piece in enumerate(around))
    masked = masker.mask_text(text)
    assert not any(secret in masked for secret in secrets)


@given(
    cuts=st.lists(st.integers(1, 400), max_size=12),
    lead=st.integers(0, 40),
    count=st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_nothing_crosses_the_borders_of_chunks(cuts: list[int], lead: int, count: int) -> None:
    secrets = [f"secret-number-{number:04d}-{'z' * number}" for number in range(count)]
    masker = Masker(secrets)
    stream = LineMasker(masker, limit=64)
    text = ("a" * lead + secrets[-1] + "b" * 70 + secrets[0] + "\n" + secrets[-1]).encode() * 3
    pieces: list[bytes] = []
    out = b""
    for cut in sorted({cut % len(text) for cut in cuts}):
        pieces.append(text[sum(len(piece) for piece in pieces) : cut])
    pieces.append(text[sum(len(piece) for piece in pieces) :])
    for piece in pieces:
        lines, part = stream.feed(piece)
        out += masker.mask(lines) + masker.mask(part)
    out += masker.mask(stream.rest())
    assert not any(secret.encode() in out for secret in secrets)
    assert out.count(b"b" * 70) == 3


def test_an_overlong_line_takes_no_memory() -> None:
    masker = Masker(["hidden-in-the-middle"])
    stream = LineMasker(masker, limit=1000)
    total = 0
    for _ in range(1000):
        lines, piece = stream.feed(b"x" * 1000)
        total += len(lines) + len(piece)
        assert len(stream._pending) <= 2100
    assert total + len(stream.rest()) == 1_000_000


FILLING = ("a line of a build that goes on and on, with words-of.all_kinds = 12345\n" * 60).encode()
MANY = [f"Zq{number:02d}{'kX8-vB3_wN5/' * 4}"[: 7 + number] for number in range(34)]


@pytest.mark.parametrize("secrets", [MANY, MANY[:2], MANY[20:], [SECRET], ["ab", "s3!r"]], ids=len)
def test_in_a_large_block_each_form_is_found_wherever_it_stands(secrets: list[str]) -> None:
    """Where blocks are large, needles are found by their aligned words: every alignment, every length."""
    masker = Masker(secrets)
    needles = set().union(*map(forms, secrets))
    for needle in needles:
        for shift in range(41):
            block = FILLING[:-shift] + needle + FILLING
            found = masker.spans(block)
            at = len(FILLING[:-shift])
            assert any(start <= at and end >= at + len(needle) for start, end in found), (needle, shift)


def test_a_large_block_without_secrets_stays_as_it_is() -> None:
    assert Masker(MANY).mask(FILLING) == FILLING


def test_a_secret_that_comes_later_is_hidden_from_then_on() -> None:
    masker = Masker(MANY)
    assert masker.mask(FILLING + b"the-new-one-of-the-step") == FILLING + b"the-new-one-of-the-step"
    masker.add("the-new-one-of-the-step")
    assert masker.mask(FILLING + b"the-new-one-of-the-step") == FILLING + b"***"
