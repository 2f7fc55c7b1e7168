"""A Pratt parser.

expression = operand { infix expression }            binding, weakest first: ||  &&  == !=  < <= > >=
operand    = "!" operand | "(" expression ")" access | name access | name "(" arguments ")" access | value
access     = { "[" ( expression | "*" ) "]" | "." ( name | "*" ) }
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from windlass.workflow.expressions.errors import ExpressionError, located
from windlass.workflow.expressions.nodes import Call, Compare, Index, Literal, Logic, Name, Node, Not
from windlass.workflow.expressions.tokens import END, NAME, VALUE, Token, tokenize

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 50
_MAX_NESTING = 120  # of parentheses and brackets, which are no nodes, so that Python's own stack suffices
_BINDING = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
_UNARY = 5


class Names(NamedTuple):
    """What an expression may name: contexts, and functions with their (minimum, maximum) of arguments.

    All in lower case. None allows any context, or any function.
    """

    contexts: frozenset[str] | None
    functions: frozenset[tuple[str, int, int]] | None


@lru_cache(maxsize=64)
def _functions(functions: frozenset[tuple[str, int, int]]) -> Mapping[str, tuple[int, int]]:
    return {name: (minimum, maximum) for name, minimum, maximum in functions}


@lru_cache(maxsize=4096)
def parse(text: str, names: Names) -> Node:
    """Parse an expression. Raises `ExpressionError`. An empty text is null, as GitHub has it."""
    return _Parser(text, names).parse()


class _Parser:
    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.nesting = 0
        self.contexts = names.contexts
        self.functions = None if names.functions is None else _functions(names.functions)

    def parse(self) -> Node:
        if self.tokens[0].kind == END:
            return Literal(1, None)
        node = self.expression(0)
        if self.tokens[self.at].kind != END:
            raise self.unexpected()
        _check_depth(node, self.text)
        return node

    def expression(self, binding: int) -> Node:
        left = self.operand()
        while (power := _BINDING.get(self.tokens[self.at].kind, 0)) > binding:
            operator = self.tokens[self.at].kind
            if power <= 2:
                left = self.logic(left, operator, power)
            else:
                self.at += 1
                left = Compare(left.position, operator, left, self.expression(power))
        return left

    def logic(self, left: Node, operator: str, power: int) -> Node:
        operands = [left]
        while self.tokens[self.at].kind == operator:
            self.at += 1
            operands.append(self.expression(power))
        return Logic(left.position, operator == "||", tuple(operands))

    def operand(self) -> Node:
        token = self.tokens[self.at]
        kind = token.kind
        if kind == NAME:
            self.at += 1
            return self.accesses(self.name(token))
        if kind == VALUE:
            self.at += 1
            return Literal(token.position, token.value)
        if kind == "!":
            self.at += 1
            self.enter()
            node = Not(token.position, self.operand())
            self.nesting -= 1
            return node
        if kind == "(":
            self.at += 1
            self.enter()
            node_in = self.expression(0)
            self.expect(")")
            self.nesting -= 1
            return self.accesses(node_in)
        raise self.unexpected()

    def name(self, token: Token) -> Node:
        if self.tokens[self.at].kind == "(":
            return self.call(token)
        if self.contexts is not None and token.text.lower() not in self.contexts:
            raise self.error("Unrecognized named-value", token)
        return Name(token.position, token.text)

    def call(self, token: Token) -> Node:
        arity = None
        if self.functions is not None:
            arity = self.functions.get(token.text.lower())
            if arity is None:
                raise self.error("Unrecognized function", token)
        arguments = self.arguments()
        count = len(arguments)
        if arity and count < arity[0]:
            raise self.error("Too few parameters supplied", token)
        if arity and count > arity[1]:
            raise self.error("Too many parameters supplied", token)
        if token.text.lower() == "case" and count % 2 == 0:
            what = "Even number of parameters supplied, requires an odd number of parameters"
            raise self.error(what, token)
        return Call(token.position, token.text, arguments)

    def arguments(self) -> tuple[Node, ...]:
        self.at += 1
        self.enter()
        found: list[Node] = []
        if self.tokens[self.at].kind != ")":
            found.append(self.expression(0))
            while self.tokens[self.at].kind == ",":
                self.at += 1
                found.append(self.expression(0))
        self.expect(")")
        self.nesting -= 1
        return tuple(found)

    def accesses(self, node: Node) -> Node:
        while True:
            token = self.tokens[self.at]
            if token.kind == ".":
                self.at += 1
                node = Index(token.position, node, self.property())
            elif token.kind == "[":
                self.at += 1
                node = Index(token.position, node, self.key())
            else:
                return node

    def property(self) -> Node | None:
        token = self.tokens[self.at]
        if token.kind not in {NAME, "*"}:
            raise self.unexpected()
        self.at += 1
        return None if token.kind == "*" else Literal(token.position, token.text)

    def key(self) -> Node | None:
        self.enter()
        key = None
        if self.tokens[self.at].kind == "*":
            self.at += 1
        else:
            key = self.expression(0)
        self.expect("]")
        self.nesting -= 1
        return key

    def enter(self) -> None:
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise _too_deep(self.text)

    def expect(self, kind: str) -> None:
        if self.tokens[self.at].kind != kind:
            raise self.unexpected()
        self.at += 1

    def unexpected(self) -> ExpressionError:
        token = self.tokens[self.at]
        if token.kind == END:
            return self.error("Unexpected end of expression", self.tokens[max(self.at - 1, 0)])
        return self.error("Unexpected symbol", token)

    def error(self, what: str, token: Token) -> ExpressionError:
        return located("parsing", what, token.text, token.position, self.text)


def _too_deep(text: str) -> ExpressionError:
    return ExpressionError("parsing", f"Exceeded max expression depth {MAX_DEPTH}", text)


def _check_depth(root: Node, text: str) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.children()]
        if not level:
            return
    raise _too_deep(text)
