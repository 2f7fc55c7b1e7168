from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from windlass.manifests import DocumentError, read, write


def value(text: str) -> object:
    return read(text)[0].value


def test_scalars_are_those_of_kubernetes() -> None:
    found = value("a: on\nb: 0644\nc: 1:30\nd: 2020-01-01\ne: ~\nf: yes\ng: 0x10\nh: true\ni: 1e3\nj: 08\n")
    assert found == {
        "a": "on",
        "b": 420,
        "c": "1:30",
        "d": "2020-01-01",
        "e": None,
        "f": "yes",
        "g": 16,
        "h": True,
        "i": 1000.0,
        "j": 8.0,
    }


def test_every_document_knows_where_it_begins() -> None:
    found = read("a: 1\n---\n\nb: 2\n---\n", "x.yaml")
    assert [(document.file, document.line, document.value) for document in found] == [
        ("x.yaml", 1, {"a": 1}),
        ("x.yaml", 4, {"b": 2}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("a: [1\n", "x.yaml:2"),
        ("a: !!python/object:os.system 1\n", "could not determine a constructor"),
        (
            "- &a [x, x, x]\n"
            + "".join(f"- &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)),
            "nodes",
        ),
    ],
)
def test_bad_files_are_refused_with_their_place(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read(text, "x.yaml")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), values, max_size=5))
def test_what_is_written_reads_the_same(data: dict[str, object]) -> None:
    text = write([data])
    assert value(text) == data if data else True


@given(st.text(max_size=40))
def test_other_readers_read_strings_as_strings(text: str) -> None:
    assert yaml.safe_load(write([{"a": text}])) == {"a": text}
