"""The smallest program that there is something to say about."""


def greet(name: str) -> str:
    return f"Hello, {name}!"
