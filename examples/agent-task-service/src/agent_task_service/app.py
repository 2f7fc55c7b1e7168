"""The HTTP face of the service."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_task_service import VERSION
from agent_task_service.agent import think
from agent_task_service.store import PRIORITIES, TaskStore

REQUESTS = Counter("http_requests_total", "Requests answered.", ["path", "status"])
SECONDS = Histogram("http_request_seconds", "Time to answer.", ["path"])


class NewTask(BaseModel):
    title: str
    priority: str = "normal"


class Prompt(BaseModel):
    prompt: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.store = TaskStore(os.environ.get("TASKS_DB", ":memory:"))
    yield
    app.state.store.close()


app = FastAPI(title="agent-task-service", version=VERSION, lifespan=lifespan)


class Measure:
    """Counts and times what is answered, as plain ASGI: it costs next to nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            REQUESTS.labels(path, str(status)).inc()
            SECONDS.labels(path).observe(time.perf_counter() - begun)


app.add_middleware(Measure)


def problem() -> str | None:
    """What keeps this service from working, if anything."""
    if os.environ.get("BREAK") == "1":
        return "BREAK=1 is set"
    return None


@app.get("/health")
async def health(request: Request) -> JSONResponse:
    reason = problem()
    try:
        answers = request.app.state.store.answers()
    except sqlite3.Error as error:
        answers, reason = False, f"the task store does not answer: {error}"
    if reason or not answers:
        return JSONResponse({"status": "broken", "version": VERSION, "reason": reason}, 500)
    return JSONResponse({"status": "ok", "version": VERSION})


@app.get("/tasks")
async def list_tasks(request: Request) -> list[dict[str, Any]]:
    return [asdict(task) for task in request.app.state.store.all()]


@app.post("/tasks")
async def add_task(request: Request, task: NewTask) -> JSONResponse:
    if task.priority not in PRIORITIES:
        reason = f"priority {task.priority!r} is not one of {', '.join(PRIORITIES)}"
        return JSONResponse({"reason": reason}, 400)
    return JSONResponse(asdict(request.app.state.store.add(task.title, task.priority)), 201)


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.post("/v1/agent/infer")
async def infer(prompt: Prompt) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async for token in think(prompt.prompt):
            yield f"data: {token}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
