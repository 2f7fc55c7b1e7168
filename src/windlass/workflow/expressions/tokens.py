"""The lexical grammar.

    token      = "(" | ")" | "[" | "]" | "," | "." | "*" | "!" | "!=" | "==" | "<" | "<=" | ">" | ">="
               | "&&" | "||" | number | string | name | "true" | "false" | "null" | "NaN" | "Infinity"
    string     = "'" { any character but "'" | "''" } "'"
    name       = ( letter | "_" ) { letter | digit | "_" | "-" }
    number     = decimal with sign, fraction and exponent | "0x" hex digits | "0o" octal digits

A "." starts a number unless something that can be dereferenced stands before it. After a "." a keyword is
a name. Anything else reads on to the next boundary and is an unexpected symbol as a whole.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from windlass.workflow.expressions.errors import ExpressionError, located
from windlass.workflow.expressions.values import parse_number

MAX_LENGTH = 21_000

NAME = "name"
VALUE = "value"
END = "end"

_TOKEN = re.compile(
    r"[ \r\t\n]*(?:"
    r"(?P<name>[A-Za-z_][A-Za-z0-9_-]*(?=[()\[\],.!><=&|\s]|\Z))"
    r"|(?P<mark>[()\[\],*]|\.(?![0-9])|!=?|==|<=?|>=?|&&|\|\|)"
    r"|(?P<string>'(?:[^']|'')*+')"
    r"|(?P<number>[0-9.+-][^()\[\],!><=&|\s]*)"
    r"|(?P<end>\Z)"
    r"|(?P<wrong>[\s\S][^()\[\],.!><=&|\s]*)"
    r")"
)
_NUMBER = re.compile(r"[^()\[\],!><=&|\s]*")
_KEYWORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": math.nan,
    "Infinity": math.inf,
}
_BEFORE_DOT = frozenset({NAME, "]", ")", "*"})


class Token(NamedTuple):
    """`kind` is the mark itself, or one of NAME, VALUE, END; `position` is 1-based."""

    kind: str
    text: str
    position: int
    value: Any = None


def tokenize(text: str) -> list[Token]:
    """Return the tokens of an expression, END last. Raises `ExpressionError` of kind `lexing`."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError("parsing", f"Exceeded max expression length {MAX_LENGTH}", text)
    tokens: list[Token] = []
    add = tokens.append
    previous = ""
    for match in _TOKEN.finditer(text):
        group = match.lastgroup
        lexeme = match[group or 0]
        position = match.end() - len(lexeme) + 1
        if group == "name":
            keyword = lexeme in _KEYWORDS and previous != "."
            previous = VALUE if keyword else NAME
            add(Token(previous, lexeme, position, _KEYWORDS.get(lexeme)))
        elif group == "mark":
            if lexeme == "." and previous not in _BEFORE_DOT:
                raise _stray_dot(position, text)
            previous = lexeme
            add(Token(lexeme, lexeme, position))
        elif group == "string":
            previous = VALUE
            add(Token(VALUE, lexeme, position, lexeme[1:-1].replace("''", "'")))
        elif group == "number":
            if lexeme[0] == "." and previous in _BEFORE_DOT:
                add(Token(".", ".", position))
                lexeme, position = lexeme[1:], position + 1
            previous = VALUE
            add(_number(lexeme, position, text))
        elif group == "wrong":
            raise _wrong(lexeme, position, text)
    add(Token(END, "", len(text) + 1))
    return tokens


def _number(lexeme: str, position: int, text: str) -> Token:
    value = parse_number(lexeme)
    if math.isnan(value):
        raise located("lexing", "Unexpected symbol", lexeme, position, text)
    return Token(VALUE, lexeme, position, value)


def _stray_dot(position: int, text: str) -> ExpressionError:
    match = _NUMBER.match(text, position - 1)
    return located("lexing", "Unexpected symbol", match[0] if match else ".", position, text)


def _wrong(lexeme: str, position: int, text: str) -> ExpressionError:
    if lexeme.startswith("'"):
        lexeme = text[position - 1 :]
    return located("lexing", "Unexpected symbol", lexeme, position, text)
