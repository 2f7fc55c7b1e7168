from __future__ import annotations

from structlog.testing import capture_logs

from windlass.kube.local.edge.unreached import LIMIT, Unreached

A, B = ("web", "a", 80), ("web", "b", 80)


def test_who_cannot_be_reached_for_a_moment_is_not_told_of() -> None:
    unreached = Unreached()
    with capture_logs() as logs:
        assert unreached.note({A: "gone"}, 0.0) == LIMIT
        assert unreached.note({A: "gone"}, 1.0) == LIMIT - 1
        assert unreached.note({}, 2.0) is None
        assert unreached.note({A: "gone"}, LIMIT + 1) == LIMIT
    assert logs == []


def test_who_cannot_be_reached_for_long_is_told_of_once() -> None:
    unreached = Unreached()
    with capture_logs() as logs:
        unreached.note({A: "no such port"}, 0.0)
        assert unreached.note({A: "no such port", B: "gone"}, LIMIT) == LIMIT
        assert unreached.note({A: "no such port"}, LIMIT + 1) is None
    assert logs == [
        {
            "event": "a ready pod cannot be reached",
            "log_level": "warning",
            "pod": "web/a",
            "port": 80,
            "error": "no such port",
        }
    ]
    with capture_logs() as logs:
        unreached.note({}, LIMIT + 2)
        unreached.note({A: "again"}, LIMIT + 3)
        unreached.note({A: "again"}, 2 * LIMIT + 3)
    assert len(logs) == 1
