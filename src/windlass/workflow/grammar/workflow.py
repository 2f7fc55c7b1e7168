"""The grammar of workflow files."""

from __future__ import annotations

from windlass.workflow.grammar.events import ON, ON_STRICT
from windlass.workflow.grammar.types import (
    ANY,
    BOOLEAN,
    FILLED,
    FILLED_STRINGS,
    NULL,
    NUMBER,
    ONE_OR_MORE,
    STRING,
    Boolean,
    Mapping,
    Number,
    OneOf,
    Sequence,
    Text,
    Type,
    choice,
    keyed,
)

STATUS_OF_JOBS = "always(0,0) failure(0,MAX) cancelled(0,0) success(0,MAX)"
STATUS_OF_STEPS = "always(0,0) failure(0,0) cancelled(0,0) success(0,0)"
HASH = "hashFiles(1,255)"

# Which contexts (and functions) may stand where.
RUN = "github inputs vars"
NEEDS = f"{RUN} needs"
LEG = f"{NEEDS} strategy matrix"
RUNNER_OPEN = f"{LEG} steps job runner env"
RUNNER = f"{LEG} secrets steps job runner env"
STEP = f"{RUNNER} {HASH}"
JOB_IF = f"{NEEDS} {STATUS_OF_JOBS}"
STEP_IF = f"{RUNNER_OPEN} {STATUS_OF_STEPS} {HASH}"

SCOPES: dict[str, str] = {  # permission: the levels that it has besides none
    **dict.fromkeys(
        (
            "actions",
            "artifact-metadata",
            "attestations",
            "checks",
            "code-quality",
            "contents",
            "deployments",
            "discussions",
            "drives",
            "issues",
            "packages",
            "pages",
            "pull-requests",
            "repository-projects",
            "security-events",
            "statuses",
        ),
        "read write",
    ),
    "copilot-requests": "write",
    "id-token": "write",
    "models": "read",
    "vulnerability-alerts": "read",
}
PERMISSIONS = OneOf(
    Mapping({name: choice(*levels.split(), "none") for name, levels in SCOPES.items()}),
    choice("read-all", "write-all"),
)

_ENV = keyed(STRING)
_SHELL = Mapping({"shell": FILLED, "working-directory": FILLED})
_CONCURRENCY = Mapping({"group!": FILLED, "cancel-in-progress": BOOLEAN, "queue": choice("single", "max")})
_CREDENTIALS = Mapping({"username": FILLED, "password": FILLED}, names=f"{RUN} secrets env")
_CONTAINER: dict[str, Type] = {
    "image": FILLED,
    "options": STRING,
    "env": keyed(Text(names=RUNNER)),
    "ports": FILLED_STRINGS,
    "volumes": FILLED_STRINGS,
    "credentials": _CREDENTIALS,
}
_SERVICE = Mapping({**_CONTAINER, "entrypoint": STRING, "command": STRING})

_STEP: dict[str, Type] = {
    "name": Text(names=STEP),
    "id": FILLED,
    "continue-on-error": Boolean(STEP),
}
_ANY_STEP: dict[str, Type] = {
    **_STEP,
    "if": Text(names=STEP_IF),
    "timeout-minutes": Number(STEP),
    "env": keyed(STRING, STEP),
    "background": BOOLEAN,
}
_STEPS = Sequence()
_STEPS.of = OneOf(
    Mapping(
        {
            **_ANY_STEP,
            "run!": Text(names=STEP),
            "working-directory": Text(names=STEP),
            "shell": FILLED,
        }
    ),
    Mapping({**_ANY_STEP, "uses!": FILLED, "with": keyed(STRING, STEP)}),
    Mapping({**_STEP, "wait!": ONE_OR_MORE}),
    Mapping({**_STEP, "wait-all!": OneOf(NULL, BOOLEAN)}),
    Mapping({**_STEP, "cancel!": FILLED}),
    Mapping({"parallel!": _STEPS}),
)

_MATRIX_ITEMS = Sequence(keyed(ANY))
_MATRIX = Mapping({"include": _MATRIX_ITEMS, "exclude": _MATRIX_ITEMS}, FILLED, Sequence(ANY))

_ANY_JOB: dict[str, Type] = {
    "name": Text(names=LEG),
    "needs": OneOf(FILLED_STRINGS, FILLED),
    "if": Text(names=JOB_IF),
    "permissions": PERMISSIONS,
    "concurrency": OneOf(FILLED, _CONCURRENCY, names=LEG),
    "strategy": Mapping({"fail-fast": BOOLEAN, "max-parallel": NUMBER, "matrix": _MATRIX}, names=NEEDS),
}
_JOB = Mapping(
    {
        **_ANY_JOB,
        "runs-on!": OneOf(
            FILLED, FILLED_STRINGS, Mapping({"group": FILLED, "labels": ONE_OR_MORE}), names=LEG
        ),
        "timeout-minutes": Number(LEG),
        "cancel-timeout-minutes": Number(LEG),
        "continue-on-error": Boolean(LEG),
        "container": OneOf(STRING, Mapping(_CONTAINER), names=LEG),
        "services": keyed(OneOf(FILLED, _SERVICE, names=LEG), LEG),
        "env": keyed(STRING, f"{LEG} secrets"),
        "environment": OneOf(
            STRING,
            Mapping({"name!": Text(names=LEG), "url": Text(names=RUNNER_OPEN), "deployment": BOOLEAN}),
            names=LEG,
        ),
        "outputs": keyed(Text(names=RUNNER)),
        "defaults": Mapping({"run": Mapping(_SHELL.keys, names=f"{LEG} env")}),
        "steps": _STEPS,
        "snapshot": OneOf(FILLED, Mapping({"image-name!": FILLED, "if": Text(names=LEG), "version": FILLED})),
    }
)
_CALL = Mapping(
    {
        **_ANY_JOB,
        "uses!": FILLED,
        "with": keyed(OneOf(STRING, BOOLEAN, NUMBER, names=LEG)),
        "secrets": OneOf(keyed(OneOf(STRING, BOOLEAN, NUMBER, names=f"{LEG} secrets")), Text("inherit")),
    }
)


def root(*, strict: bool) -> Mapping:
    """Return the grammar of a whole file; `strict` checks the events' names, types and filters too."""
    return Mapping(
        {
            "on!" if strict else "on": ON_STRICT if strict else ON,
            "name": STRING,
            "description": STRING,
            "run-name": Text(names=RUN),
            "defaults": Mapping({"run": _SHELL}),
            "env": keyed(STRING, f"{RUN} secrets"),
            "permissions": PERMISSIONS,
            "concurrency": OneOf(STRING, _CONCURRENCY, names=RUN),
            "jobs!": Mapping(None, FILLED, OneOf(_JOB, _CALL)),
        }
    )


ROOT = root(strict=False)
STRICT = root(strict=True)
__all__ = ["PERMISSIONS", "ROOT", "SCOPES", "STRICT", "root"]
