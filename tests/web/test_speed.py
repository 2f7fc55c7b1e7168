"""Pages over a full store: no question for each row, and nothing that grows with what lies further back."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from windlass.store.queries import queries

SITE = Any
MANY = 500
PAGES = [
    ("/", 40),
    ("/runs", 3),
    ("/runs/250", 20),
    ("/deliveries", 4),
    ("/deliveries/250", 9),
    ("/applications", 6),
    ("/applications/argocd/web", 9),
    ("/api/v1/runs?limit=500", 3),
    ("/api/v1/deliveries?limit=500", 3),
    ("/api/v1/commits/SHA", 40),
    ("/commits/SHA", 45),
]


@pytest.fixture(scope="module")
async def full(fresh: SITE, bulk: Any) -> SITE:
    await fresh.store.transact(lambda tx: bulk(tx, MANY))
    await fresh.application("web", {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}})
    return fresh


@pytest.mark.parametrize(("path", "questions"), PAGES)
async def test_a_page_asks_few_questions(
    full: SITE, path: str, questions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = (await full.ports.runs.runs(limit=250))[-1].sha
    asked: Counter[str] = Counter()
    read = full.store.read

    async def counted(name: str, /, **params: Any) -> Any:
        asked[name] += 1
        return await read(name, **params)

    async with await full.client("admin") as client:
        await client.get(path.replace("SHA", sha))  # so that templates are compiled
        monkeypatch.setattr(full.store, "read", counted)
        begun = time.perf_counter()
        answer = await client.get(path.replace("SHA", sha))
        seconds = time.perf_counter() - begun
    print(f"{path}: {seconds * 1000:.1f} ms, {sum(asked.values())} questions")  # noqa: T201 the figure is worth seeing
    assert answer.status_code == 200, answer.text
    assert sum(asked.values()) <= questions, asked
    assert seconds < 1.0


QUERIES = [
    ("commits.pushes", {"low": "abc", "high": "abcg"}, "pushes_commit"),
    ("delivery.last_live", {"uid": "u"}, "deliveries"),
    ("pipelines.of_digest", {"digest": "x"}, "run_images_digest"),
]


@pytest.mark.parametrize(("name", "params", "index"), QUERIES)
async def test_questions_use_an_index(full: SITE, name: str, params: dict[str, Any], index: str) -> None:
    def explain(tx: Any) -> list[Any]:
        found: list[Any] = tx._connection.execute(f"EXPLAIN QUERY PLAN {queries()[name]}", params).fetchall()
        return found

    plan = await full.store.transact(explain)
    assert all("SCAN" not in row["detail"] or "USING INDEX" in row["detail"] for row in plan), plan
    assert any(index in row["detail"] for row in plan), plan
