from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.kube.errors import BadRequestError, InvalidError
from windlass.kube.local.fieldsets import decode_paths, encode_paths, merge, path_text, paths_of, remove
from windlass.kube.local.patches import json_patch, merge_patch, strategic_merge
from windlass.kube.local.schema.check import copy_of
from windlass.kube.local.schema.fields import shape_of

POD = shape_of("core_v1.Pod")
DEPLOYMENT = shape_of("apps_v1.Deployment")

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc~/", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the examples of RFC 7386
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        (["a", "b"], ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("operations", "result"),
    [  # after the examples of RFC 6902
        ([{"op": "add", "path": "/baz", "value": "q"}], {"foo": ["a", "b"], "baz": "q"}),
        ([{"op": "add", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x", "b"]}),
        ([{"op": "add", "path": "/foo/-", "value": "x"}], {"foo": ["a", "b", "x"]}),
        ([{"op": "remove", "path": "/foo/0"}], {"foo": ["b"]}),
        ([{"op": "replace", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x"]}),
        ([{"op": "move", "from": "/foo/0", "path": "/bar"}], {"foo": ["b"], "bar": "a"}),
        ([{"op": "copy", "from": "/foo/0", "path": "/bar"}], {"foo": ["a", "b"], "bar": "a"}),
        ([{"op": "test", "path": "/foo/0", "value": "a"}], {"foo": ["a", "b"]}),
        ([{"op": "add", "path": "/a~1b~0c", "value": 1}], {"foo": ["a", "b"], "a/b~c": 1}),
    ],
)
def test_json_patch(operations: Any, result: Any) -> None:
    before = {"foo": ["a", "b"]}
    assert json_patch(before, operations) == result
    assert before == {"foo": ["a", "b"]}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/foo", "value": 1}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "replace", "path": "/missing", "value": 1}],
        [{"op": "add", "path": "/foo/9", "value": 1}],
        [{"op": "add", "path": "no-slash", "value": 1}],
        [{"op": "fly", "path": "/foo"}],
        [{"op": "move", "path": "/foo"}],
        {"not": "a list"},
    ],
)
def test_json_patches_that_cannot_be(operations: Any) -> None:
    with pytest.raises((InvalidError, BadRequestError)):
        json_patch({"foo": ["a"]}, operations)


def test_strategic_merge_follows_the_keys_and_directives() -> None:
    live = {
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {
            "containers": [{"name": "x", "image": "1", "env": [{"name": "A", "value": "1"}]}, {"name": "y"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "old"}],
        },
    }
    patch = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
        "spec": {
            "$setElementOrder/containers": [{"name": "z"}, {"name": "x"}],
            "containers": [
                {
                    "name": "x",
                    "image": "2",
                    "env": [{"name": "A", "$patch": "delete"}, {"name": "B", "value": "2"}],
                },
                {"name": "z", "image": "9"},
                {"name": "y", "$patch": "delete"},
            ],
            "volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}],
            "tolerations": [{"key": "new"}],
        },
    }
    assert strategic_merge(live, patch, POD) == {
        "metadata": {"finalizers": ["b", "c"]},
        "spec": {
            "containers": [
                {"name": "z", "image": "9"},
                {"name": "x", "image": "2", "env": [{"name": "B", "value": "2"}]},
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            "tolerations": [{"key": "new"}],
        },
    }


def test_paths_read_and_write_as_kubernetes_does() -> None:
    config = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}]}]}}},
    }
    paths = paths_of(config, DEPLOYMENT)
    port = 'k:{"containerPort":80,"protocol":"TCP"}'
    assert encode_paths(paths) == {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"web"}': {
                            ".": {},
                            "f:name": {},
                            "f:ports": {port: {".": {}, "f:containerPort": {}}},
                        }
                    }
                }
            }
        },
    }
    assert decode_paths(encode_paths(paths)) == paths
    where = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:ports", port)
    assert (
        path_text(where)
        == '.spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]'
    )


names = st.sampled_from(["a", "b", "c"])


def record(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def named(item: dict[str, Any]) -> str:
    return str(item["name"])


env = st.lists(record({"name": names, "value": names}), unique_by=named)
container = record({"name": names}, image=names, env=env, args=st.lists(names, max_size=2))
containers = st.lists(container, unique_by=named, max_size=3)
pods = record(
    {"metadata": record({}, labels=st.dictionaries(names, names, min_size=1))},
    spec=record({"containers": containers}),
)


@given(pods, pods)
def test_what_is_applied_is_there_and_applying_again_changes_nothing(live: Any, config: Any) -> None:
    merged = merge(live, config, POD)
    assert merge(merged, config, POD) == merged
    missing = paths_of(config, POD) - paths_of(merged, POD)
    empty = {"f:metadata", "f:containers", "f:env"}  # what is applied empty is filled by what was there
    assert {path[-1] for path in missing} <= empty


@given(pods)
def test_what_one_manager_alone_owned_goes_with_it(config: Any) -> None:
    left = remove(config, POD, encode_paths(paths_of(config, POD)), {})
    assert left == {}


@given(plain)
def test_copies_are_equal_and_apart(value: Any) -> None:
    copied = copy_of(value)
    assert copied == value
    assert not isinstance(value, (dict, list)) or copied is not value
