"""The web application: dashboard pages, REST API under `/api/v1`, server-sent events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from windlass import __version__
from windlass.web import events, job_page, login, pages, pull_pages, repository_pages, run_page
from windlass.web.api import (
    access,
    commits,
    deliveries,
    environments,
    pulls,
    releases,
    repositories,
    runs,
    triggers,
)
from windlass.web.gate import Gate
from windlass.web.heads import Heads
from windlass.web.problems import add_handlers

if TYPE_CHECKING:
    from windlass.web.ports import Ports

STATIC = Path(__file__).parent / "static"
SCHEMA = APIRouter(prefix="/api/v1")
for part in (repositories, pulls, releases, access, runs, triggers, environments, deliveries, commits):
    SCHEMA.include_router(part.router)


def create_app(ports: Ports) -> FastAPI:
    """Make the application. Everything but `/healthz`, `/login` and `/static` asks who is there."""
    app = FastAPI(
        title="Windlass",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.ports = ports

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    add_handlers(app, ports.refusals)
    app.add_middleware(Gate, identity=ports.identity)
    app.add_middleware(Heads)
    app.include_router(SCHEMA)
    app.include_router(triggers.github, prefix="/api/v3")
    app.include_router(login.router)
    app.include_router(events.router)
    app.include_router(pages.router, include_in_schema=False)
    app.include_router(run_page.router, include_in_schema=False)
    app.include_router(job_page.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # Their addresses begin with any owner and name: they come last, so that every other address goes before.
    app.include_router(pull_pages.router, include_in_schema=False)
    app.include_router(repository_pages.router, include_in_schema=False)
    return app
