"""The language in which the grammar is written: types of YAML nodes, and the names allowed in expressions.

A type that gives `names` allows expressions in itself and in all below it, with these names besides those
that its surroundings allow. Without any, an expression is an error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from windlass.workflow.expressions.functions import BUILTIN, MAX_ARGUMENTS
from windlass.workflow.expressions.parser import Names

if TYPE_CHECKING:
    from collections.abc import Mapping as Map


class Type:
    """Any type. `names` is a blank-separated list, functions as `name(minimum,maximum)`."""

    def __init__(self, names: str = "") -> None:
        self.names = names

    @property
    def scalars(self) -> tuple[Type, ...]:
        """The scalar types that this type allows."""
        return ()

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mapping types that this type allows."""
        return ()

    @property
    def item(self) -> Type | None:
        """The type of the items where this type allows a sequence."""
        return None

    def accepts(self, value: Any) -> bool:
        """Return whether a scalar of this value fits."""
        raise NotImplementedError


class _ScalarType(Type):
    kinds: tuple[type, ...] = ()

    @property
    def scalars(self) -> tuple[Type, ...]:
        return (self,)

    def accepts(self, value: Any) -> bool:
        return type(value) in self.kinds


class Null(_ScalarType):
    """No value."""

    kinds = (type(None),)


class Boolean(_ScalarType):
    """`true` or `false`."""

    kinds = (bool,)


class Number(_ScalarType):
    """A number."""

    kinds = (int, float)


class Text(_ScalarType):
    """A string. Other scalars are written as one where only a string fits."""

    def __init__(self, constant: str = "", *, filled: bool = False, names: str = "") -> None:
        super().__init__(names)
        self.constant = constant
        self.filled = filled

    def accepts(self, value: Any) -> bool:
        """Return whether it is a string, the constant where there is one, not empty where it must not be."""
        if not isinstance(value, str):
            return False
        return value == self.constant if self.constant else bool(value) or not self.filled


class Sequence(Type):
    """A list of items of one type. The type may be set later, for grammars that contain themselves."""

    def __init__(self, item: Type | None = None, names: str = "") -> None:
        super().__init__(names)
        self.of = item

    @property
    def item(self) -> Type | None:
        """The type of the items."""
        return self.of


class Mapping(Type):
    """Keys that are known, or any keys of one type, or both. A known key that ends in `!` is required."""

    def __init__(
        self,
        keys: Map[str, Type] | None = None,
        any_key: Type | None = None,
        any_value: Type | None = None,
        names: str = "",
    ) -> None:
        super().__init__(names)
        given = keys or {}
        self.keys = {key.removesuffix("!"): value for key, value in given.items()}
        self.required = tuple(key.removesuffix("!") for key in given if key.endswith("!"))
        self.any_key = any_key
        self.any_value = any_value

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """This type."""
        return (self,)


class OneOf(Type):
    """One of several types."""

    def __init__(self, *options: Type, names: str = "") -> None:
        super().__init__(names)
        self.options = options
        self._scalars = tuple(found for option in options for found in option.scalars)
        self._mappings = tuple(found for option in options for found in option.mappings)

    @property
    def scalars(self) -> tuple[Type, ...]:
        """The scalar types among the options."""
        return self._scalars

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mapping types among the options."""
        return self._mappings

    @property
    def item(self) -> Type | None:
        """The type of the items of the one sequence type among the options."""
        return next((option.item for option in self.options if option.item), None)


class AnyType(Type):
    """Anything."""

    def __init__(self) -> None:
        super().__init__()
        self._loose = Mapping(None, Text(), self)

    @property
    def scalars(self) -> tuple[Type, ...]:
        """All scalars."""
        return (Null(), Boolean(), Number(), Text())

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """Any mapping."""
        return (self._loose,)

    @property
    def item(self) -> Type | None:
        """Any items."""
        return self


def choice(*constants: str) -> Type:
    """Return the type of a string that is one of these."""
    return OneOf(*(Text(constant) for constant in constants))


def keyed(value: Type, names: str = "") -> Mapping:
    """Return the type of a mapping from any key that is not empty."""
    return Mapping(None, FILLED, value, names)


STRING = Text()
FILLED = Text(filled=True)
BOOLEAN = Boolean()
NUMBER = Number()
NULL = Null()
ANY = AnyType()
STRINGS = Sequence(STRING)
FILLED_STRINGS = Sequence(FILLED)
ONE_OR_MORE = OneOf(FILLED, FILLED_STRINGS)
SCALAR = OneOf(STRING, BOOLEAN, NUMBER)

_BUILTIN = frozenset((name, function.minimum, function.maximum) for name, function in BUILTIN.items())


@lru_cache(maxsize=512)
def allowed(surroundings: Names, names: str) -> Names:
    """Return what expressions may name in a type with `names`, within its surroundings."""
    if not names:
        return surroundings
    contexts, functions = set(surroundings.contexts or ()), set(surroundings.functions or ())
    known = {name for name, _, _ in functions}
    for item in names.split():
        name, _, arity = item.lower().rstrip(")").partition("(")
        if not arity:
            contexts.add(name)
        elif name not in known:
            minimum, maximum = arity.split(",")
            functions.add((name, int(minimum), MAX_ARGUMENTS if maximum == "max" else int(maximum)))
    return Names(frozenset(contexts), frozenset(functions))


NOWHERE = Names(frozenset(), _BUILTIN)
