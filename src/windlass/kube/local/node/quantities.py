"""Kubernetes quantities: `250m`, `64Mi`, `1.5`, `1e3`."""

from __future__ import annotations

import re
from decimal import Decimal

SUFFIX = {
    "": Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGTPE")},
}
QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]{0,2})")


def quantity(text: str | float) -> Decimal:
    """Read a quantity; raises ValueError when it is none."""
    match = QUANTITY.fullmatch(str(text).strip())
    if match is None or match[2] not in SUFFIX:
        raise ValueError(f"{text!r} is not a quantity such as 250m, 64Mi or 1.5")
    return Decimal(match[1]) * SUFFIX[match[2]]
