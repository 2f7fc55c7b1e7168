"""The grammar of action files (`action.yml`), as the runner takes them: metadata may hold anything."""

from __future__ import annotations

from windlass.workflow.grammar.types import (
    ANY,
    FILLED,
    STRING,
    Boolean,
    Mapping,
    OneOf,
    Sequence,
    Text,
    Type,
    keyed,
)
from windlass.workflow.grammar.workflow import HASH, STATUS_OF_STEPS

DEFAULT = f"github strategy matrix job runner {HASH}"
STEP = f"github inputs strategy matrix steps job runner env {HASH}"
STEP_IF = f"github inputs strategy matrix steps job runner env {STATUS_OF_STEPS} {HASH}"
OUTPUT = "github strategy matrix steps inputs job runner env"

_ANY_STEP: dict[str, Type] = {
    "name": Text(names=STEP),
    "id": FILLED,
    "if": Text(names=STEP_IF),
    "env": keyed(STRING, STEP),
    "continue-on-error": Boolean(STEP),
    "timeout-minutes": ANY,
}
_STEPS = Sequence(
    OneOf(
        Mapping(
            {
                **_ANY_STEP,
                "run!": Text(names=STEP),
                "shell!": Text(names=STEP),
                "working-directory": Text(names=STEP),
            }
        ),
        Mapping({**_ANY_STEP, "uses!": FILLED, "with": keyed(STRING, STEP)}),
    )
)
_HOOKS: dict[str, Type] = {"using!": FILLED, "pre-if": FILLED, "post-if": FILLED}
_RUNS = OneOf(
    Mapping(
        {
            **_HOOKS,
            "image!": FILLED,
            "entrypoint": FILLED,
            "args": Sequence(Text(names="inputs")),
            "env": keyed(STRING, "inputs"),
            "pre-entrypoint": FILLED,
            "post-entrypoint": FILLED,
        }
    ),
    Mapping({**_HOOKS, "main!": FILLED, "pre": FILLED, "post": FILLED}),
    Mapping({"using!": FILLED, "steps!": _STEPS}),
)
ROOT = Mapping(
    {
        "name": STRING,
        "description": STRING,
        "inputs": keyed(Mapping({"default": Text(names=DEFAULT)}, FILLED, ANY)),
        "outputs": keyed(Mapping({"description": STRING, "value": Text(names=OUTPUT)})),
        "runs!": _RUNS,
    },
    FILLED,
    ANY,
)
