from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from agent_task_service import VERSION
from agent_task_service.app import app


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client


def test_health_names_the_version(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "version": VERSION}


def test_health_is_500_when_told_to_break(client, monkeypatch):
    monkeypatch.setenv("BREAK", "1")
    response = client.get("/health")
    assert response.status_code == 500
    assert response.json()["reason"] == "BREAK=1 is set"


def test_health_is_500_when_the_store_does_not_answer(client):
    client.app.state.store.close()
    response = client.get("/health")
    assert response.status_code == 500
    assert "task store" in response.json()["reason"]


def test_a_task_is_kept(client):
    assert client.get("/tasks").json() == []
    response = client.post("/tasks", json={"title": "Write the report", "priority": "high"})
    assert response.status_code == 201
    assert client.get("/tasks").json() == [
        {"id": 1, "title": "Write the report", "priority": "high"}
    ]


def test_a_bad_priority_is_refused_with_its_reason(client):
    response = client.post("/tasks", json={"title": "x", "priority": "urgent"})
    assert response.status_code == 400
    assert "'urgent' is not one of low, normal, high" in response.json()["reason"]
    assert client.get("/tasks").json() == []


def test_the_agent_streams_tokens(client):
    with client.stream("POST", "/v1/agent/infer", json={"prompt": "ship it"}) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[0] == "data: First"
    assert "data: ship" in lines
    assert lines[-1] == "data: [DONE]"


def test_metrics_count_requests(client):
    client.get("/health")
    assert 'http_requests_total{path="/health",status="200"}' in client.get("/metrics").text
