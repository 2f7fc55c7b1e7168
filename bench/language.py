"""The language alone: reading a workflow file, and expressions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment

from bench.rows import Row, row
from bench.world import BenchError
from windlass.workflow import parse
from windlass.workflow.expressions import Scope, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINES = 500
MILLI = 1000.0
HEAD = """\
name: A long workflow
on:
  push:
    branches: [main, 'releases/**']
  pull_request:
    paths-ignore: ['docs/**']
permissions:
  contents: read
env:
  PYTHONUNBUFFERED: '1'
jobs:
"""
JOB = """\
  job-{n}:
    name: Job {n} (${{{{ matrix.python }}}})
    runs-on: ubuntu-latest
    needs: [{needs}]
    if: github.event_name == 'push' || startsWith(github.head_ref, 'feature/')
    timeout-minutes: 10
    strategy:
      fail-fast: false
      matrix:
        python: ['3.11', '3.12', '3.13']
        include:
          - {{python: '3.14', experimental: true}}
    outputs:
      version: ${{{{ steps.version.outputs.version }}}}
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: ${{{{ matrix.python }}}}
      - id: version
        run: |
          echo "version=$(git describe)" >> "$GITHUB_OUTPUT"
      - name: Test (${{{{ runner.os }}}})
        if: success() && !contains(github.event.head_commit.message, 'skip tests')
        run: pytest --junitxml=report-${{{{ matrix.python }}}}.xml
        env:
          TOKEN: ${{{{ secrets.GITHUB_TOKEN }}}}
"""
NAMES: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "event_name": "push", "event": {"commits": [{"id": "a"}]}},
    "matrix": {"python": "3.12", "os": "linux"},
    "needs": {"build": {"result": "success", "outputs": {"version": "1.2.3"}}},
}
# The same question in both languages; `{n}` makes each text another one.
OURS = "github.ref == 'refs/heads/main' && (matrix.python == '3.{n}' || needs.build.outputs.version != '{n}')"
THEIRS = (
    "github.ref == 'refs/heads/main' and (matrix.python == '3.{n}' or needs.build.outputs.version != '{n}')"
)


def long_workflow() -> str:
    """Return a workflow of exactly 500 lines, as people write them."""
    lines, number = HEAD.splitlines(), 0
    while len(lines) + JOB.count("\n") <= LINES:
        needs = f"job-{number - 1}" if number else ""
        lines += JOB.format(n=number, needs=needs).splitlines()
        number += 1
    lines += [f"      - run: make target-{number}" for number in range(LINES - len(lines))]
    text = "\n".join(lines) + "\n"
    parsed = parse(text, ".github/workflows/long.yaml")
    if parsed.workflow is None:
        raise BenchError(f"the workflow to be parsed has errors: {parsed.diagnostics[0].message}")
    return text


def timed(work: Callable[[], object], count: int) -> float:
    """Return the seconds of one of `count` calls."""
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - begun) / count


def measure(rounds: int) -> Iterator[Row]:
    """Measure both, turn about with the reference."""
    yield parsing(rounds)
    yield from expressions(rounds)


def parsing(rounds: int) -> Row:
    """Read a file of 500 lines."""
    text, ours, bare = long_workflow(), [], []
    for number in range(rounds):
        # A comment at the end makes it another text: nothing that is remembered of the last round helps.
        another = f"{text}# {number}\n"
        begun = time.perf_counter()
        yaml.load(another, yaml.CSafeLoader)
        bare.append((time.perf_counter() - begun) * MILLI)
        begun = time.perf_counter()
        parse(another, ".github/workflows/long.yaml")
        ours.append((time.perf_counter() - begun) * MILLI)
    return row(
        f"parse of a {LINES}-line workflow",
        "ms",
        ours,
        bare,
        reference_is="PyYAML's C loader, which makes dictionaries of the same text and checks nothing",
        includes="YAML with positions, GitHub's grammar, every expression checked, the model, all diagnostics",
    )


def expressions(rounds: int, count: int = 2000) -> Iterator[Row]:
    """Evaluate expressions: each another text, and one text again and again."""
    scope, jinja = Scope(NAMES), Environment(autoescape=False)  # noqa: S701 nothing is rendered
    fresh: list[float] = []
    fresh_theirs: list[float] = []
    again: list[float] = []
    again_theirs: list[float] = []
    again_ours, compiled = OURS.format(n=0), jinja.compile_expression(THEIRS.format(n=0))
    for number in range(rounds):
        texts = [OURS.format(n=number * count + n) for n in range(count)]
        theirs = [THEIRS.format(n=number * count + n) for n in range(count // 20)]
        begun = time.perf_counter()
        for text in texts:
            evaluate(text, scope)
        fresh.append(count / (time.perf_counter() - begun))
        begun = time.perf_counter()
        for text in theirs:
            jinja.compile_expression(text)(**NAMES)
        fresh_theirs.append(len(theirs) / (time.perf_counter() - begun))
        again.append(1 / timed(lambda: evaluate(again_ours, scope), count))
        again_theirs.append(1 / timed(lambda: compiled(**NAMES), count))
    if evaluate(again_ours, scope) is not True or compiled(**NAMES) is not True:
        raise BenchError("the expressions to be measured are not true in both languages")
    yield row(
        "expressions, each a new text",
        "expressions/s",
        fresh,
        fresh_theirs,
        reference_is="Jinja2's `compile_expression` of the same question, compiled and evaluated",
        includes="read, checked and evaluated: three comparisons over three contexts",
        better="more",
    )
    yield row(
        "expressions, one text again",
        "expressions/s",
        again,
        again_theirs,
        reference_is="Jinja2's `compile_expression` of the same question, compiled before",
        includes="evaluated again from the remembered tree",
        better="more",
    )
