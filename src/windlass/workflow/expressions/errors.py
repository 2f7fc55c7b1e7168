"""What can go wrong with an expression, in the words of GitHub's engine."""

from __future__ import annotations

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["lexing", "parsing", "evaluation"]


class ExpressionError(ValueError):
    """An expression cannot be read or evaluated.

    `position` is the 1-based offset in `expression` in code points, 0 where the error has no place.
    """

    def __init__(self, kind: Kind, message: str, expression: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.expression = expression
        self.position = position

    @property
    def message(self) -> str:
        """The message, as GitHub words it."""
        return str(self.args[0])


def located(kind: Kind, what: str, symbol: str, position: int, expression: str) -> ExpressionError:
    """Return the error that names a symbol and its place: in the message in UTF-16 units, as GitHub counts."""
    wide = sum(char > "\uffff" for char in expression[: position - 1])
    message = f"{what}: '{symbol}'. Located at position {position + wide} within expression: {expression}"
    return ExpressionError(kind, message, expression, position)
