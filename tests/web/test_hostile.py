"""Whatever is sent, the server answers, and never with an error of its own."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOSTED = Any
LITTLE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.sampled_from(
    [
        "\ud800",
        "\x00",
        "..",
        "../../x",
        "%2e%2e",
        "9" * 30,
        "-1",
        "1e9",
        "null",
        "'; DROP TABLE runs; --",
        "\u202e",
        "a/b",
        "",
        "*",
    ]
)
TEXTS = ODD | st.text(max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "/secrets": ("scope", "name", "value"),
    "/tokens": ("name", "scopes", "ttl", "label"),
    "/repositories": ("name", "default_branch", "applications"),
    "/runs": ("repository", "workflow", "ref", "inputs"),
    "/kubeconfig": ("namespace",),
    "/applications/web/sync": ("revision",),
}
PATHS = (
    "/runs/{}",
    "/runs/{}/logs",
    "/runs/1/artifacts/{}",
    "/runs/{}/cancel",
    "/deliveries/{}",
    "/commits/{}",
    "/applications/{}/sync",
    "/holds/{}",
    "/tokens/{}",
    "/repositories/{}/{}",
)
PAGES = (
    "/runs/{}",
    "/runs/1/jobs/{}",
    "/deliveries/{}",
    "/applications/{}/{}",
    "/commits/{}",
    "/{}",
    "/static/{}",
    "/{}/{}",
    "/acme/web/{}",
    "/acme/web/pull/{}",
    "/{}/web/pulls",
    "/{}/{}/events",
    "/{}/{}/dispatch",
    "/{}/{}/releases",
)
FORMS = {
    "/acme/web/pull/1/merge": ("method", "sha"),
    "/acme/web/pull/1/approve": ("sha",),
    "/acme/web/pull/1/state": ("state",),
    "/acme/web/dispatch": ("workflow", "ref", "input.x"),
    "/runs/1/approvals": ("job", "decision", "comment"),
    "/runs/1/rerun": ("what", "job"),
}
QUERIES = (
    "repository",
    "ref",
    "before",
    "limit",
    "application",
    "step",
    "job",
    "skip",
    "tail",
    "next",
    "code",
    "template",
    "state",
    "pushes",
    "others",
)


def ask(hosted: HOSTED, method: str, path: str, **options: Any) -> None:
    answer = hosted.ask(method, path, **options)
    assert answer.status_code < 500, (method, path, answer.text)
    if answer.status_code >= 400 and answer.url.path.startswith("/api/"):
        assert isinstance(answer.json()["detail"], str), answer.text


def escaped(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


@given(st.sampled_from(PATHS), st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"]), TEXTS)
@LITTLE
def test_addresses_of_the_api(hosted: HOSTED, path: str, method: str, text: str) -> None:
    ask(hosted, method, f"/api/v1{path.replace('{}', escaped(text))}")


# The client itself makes `/events` of `/../../events` and of `///events`, and that does not end.
@given(st.sampled_from(PAGES), TEXTS.filter(lambda text: text not in {"", ".", ".."}))
@LITTLE
def test_addresses_of_pages(hosted: HOSTED, path: str, text: str) -> None:
    ask(hosted, "GET", path.replace("{}", escaped(text)))


@given(
    st.sampled_from(
        [
            "/api/v1/runs",
            "/api/v1/deliveries",
            "/api/v1/runs/1/logs",
            "/runs",
            "/deliveries",
            "/runs/1/jobs/test",
            "/acme/web/pulls",
            "/acme/web/events",
            "/acme/web/dispatch",
            "/login",
        ]
    ),
    st.dictionaries(st.sampled_from(QUERIES), TEXTS | st.integers().map(str), max_size=4),
)
@LITTLE
def test_questions(hosted: HOSTED, path: str, query: dict[str, str]) -> None:
    asked = "&".join(f"{name}={escaped(value)}" for name, value in query.items())
    ask(hosted, "GET", f"{path}?{asked}")


@given(st.data())
@LITTLE
def test_bodies(hosted: HOSTED, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FIELDS)))
    body = data.draw(st.dictionaries(st.sampled_from(FIELDS[path]), VALUES) | VALUES)
    method = "PUT" if path == "/secrets" else "POST"
    text = json.dumps(body)
    ask(hosted, method, f"/api/v1{path}", content=text, headers={"Content-Type": "application/json"})


@given(st.data())
@LITTLE
def test_forms(hosted: HOSTED, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FORMS)))
    words = TEXTS | st.sampled_from(["merge", "open", "approve", "job", "main", "ci.yaml"])
    body = data.draw(st.dictionaries(st.sampled_from(FORMS[path]), words))
    text = "&".join(f"{name}={escaped(value)}" for name, value in body.items())
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    ask(hosted, "POST", path, content=text, headers=kind)


@given(st.binary(max_size=60), st.sampled_from(["application/json", "text/plain", "multipart/form-data", ""]))
@LITTLE
def test_bytes(hosted: HOSTED, body: bytes, kind: str) -> None:
    ask(hosted, "POST", "/api/v1/tokens", content=body, headers={"Content-Type": kind})
    ask(hosted, "POST", "/login", content=body, headers={"Content-Type": kind})
    ask(hosted, "POST", "/acme/web/dispatch", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "Origin", "Referer", "Host", "Content-Length"])
@given(
    value=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
)
@LITTLE
def test_headers(hosted: HOSTED, name: str, value: str) -> None:
    sent = [(name.encode(), value.encode("latin-1"))]
    answer = hosted.ask("POST", "/api/v1/tokens", bare=True, headers=sent)
    assert answer.status_code < 500
