"""What is told of deliveries, as text: pure."""

from __future__ import annotations

from dataclasses import replace

from windlass.delivery.news import GO_ON, last_words, lines
from windlass.delivery.records import ASK, Delivery, Evidence

DELIVERY = Delivery(
    id=2,
    application="argocd/web",
    uid="u",
    repo="acme/gitops-repo",
    branch="main",
    revision="f" * 40,
    attempt=1,
    source="{}",
    initiated_by="automated",
    state="waiting",
    reason="",
    previous=1,
    superseded_by=None,
    pending=(),
    created_at=0.0,
)


def test_the_last_words_are_the_last_bad_answer_and_the_end_of_the_candidates_log() -> None:
    answers = [
        {"at": 1.0, "pod": "a", "request": "GET /health", "status": 500, "body": "early"},
        {
            "at": 3.0,
            "pod": "b",
            "request": "GET /health",
            "status": 500,
            "body": '{"error": "\x1b[31mno db\x1b[0m"}\n',
        },
        {"at": 4.0, "pod": "b", "request": "GET /health", "status": 0, "fault": "refused"},
    ]
    log = ["one", "two", "three", "", "\x1b]0;title\x07four", "KeyError: 'DATABASE_URL'"]
    evidence = [
        Evidence(5.0, "log", "a/app", []),
        Evidence(5.0, "log", "b/app", log),
        Evidence(5.0, "answers", "b", answers),
        Evidence(5.0, "note", "b", "words"),
    ]
    assert last_words(evidence) == (
        'b: GET /health answered 500 {"error": "no db"}',
        "b/app said last:",
        "  two",
        "  three",
        "  ]0;titlefour",
        "  KeyError: 'DATABASE_URL'",
    )
    assert last_words([]) == ()


def test_who_waits_is_told_once_that_it_may_be_left() -> None:
    said: set[tuple[int, str]] = set()
    waits = replace(DELIVERY, reason="an image is not in its registry: x")
    assert lines(waits, said)[1:] == ["web: waiting: an image is not in its registry: x", f"web: {GO_ON}"]
    assert lines(replace(waits, reason="for delivery 1"), said) == ["web: waiting: for delivery 1"]
    asks: set[tuple[int, str]] = set()
    assert lines(replace(waits, reason=ASK), asks)[1:] == [f"web: waiting: {ASK}"]
