from __future__ import annotations

import pytest

from windlass.runner.actions.node import node_range, npmrc
from windlass.runner.actions.reading import node_version, python_version, uv_version
from windlass.runner.actions.versions import python_requests, satisfies
from windlass.runner.errors import StepError


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("3.11.4", "3.11", True),
        ("3.11.4", "3.1", False),
        ("3.11.4", "3.x", True),
        ("3.11.4", "3.11.x", True),
        ("3.11.4", "3.12.x", False),
        ("20.20.2", ">=18 <21", True),
        ("20.20.2", ">= 18, < 20", False),
        ("20.20.2", "18 - 20", True),
        ("21.0.0", "18 - 20", False),
        ("20.20.2", "^20.1.0", True),
        ("20.0.9", "^20.1.0", False),
        ("0.3.1", "^0.2.9", False),
        ("0.2.10", "^0.2.9", True),
        ("0.0.4", "^0.0.3", False),
        ("1.3.0", "~1.2.3", False),
        ("1.2.9", "~1.2.3", True),
        ("1.9.0", "~1", True),
        ("1.4.6", "~=1.4.5", True),
        ("1.5.0", "~=1.4.5", False),
        ("1.9", "~=1.4", True),
        ("22.1.0", "18 || 20 || 22", True),
        ("19.1.0", "18 || 20 || 22", False),
        ("1.32.3", ">1.32", False),
        ("1.32.3", "<=1.32", True),
        ("3.12.1", "!=3.12.1", False),
        ("v1.30.2", "v1.30.2", True),
        ("20.1.0", "latest", True),
        ("20.1.0", "twenty", False),
        ("0.5.1+deb", "0.5.1", True),
    ],
)
def test_a_version_is_held_against_a_range(version: str, wanted: str, *, expected: bool) -> None:
    assert satisfies(version, wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "requests"),
    [
        ("", [""]),
        ("3.x", ["3"]),
        ("3.12", ["3.12"]),
        ("3.12.x", ["3.12"]),
        ("3.13-dev", ["3.13"]),
        ("3.13t", ["3.13t"]),
        (">=3.10 <3.13", [">=3.10,<3.13"]),
        (">=3.10,<4", [">=3.10,<4"]),
        ("^3.10", [">=3.10,<4"]),
        ("~3.11.2", [">=3.11.2,<3.12"]),
        ("~=3.11", [">=3.11,<4"]),
        ("3.10 - 3.12", [">=3.10,<3.13"]),
        ("3.10 || 3.12", ["3.12", "3.10"]),
        ("pypy3.10", ["pypy@3.10"]),
        ("pypy-3.10-v7.3.x", ["pypy@3.10"]),
        ("graalpy-24.0", ["graalpy@24.0"]),
    ],
)
def test_githubs_names_of_pythons_are_put_in_uvs(wanted: str, requests: list[str]) -> None:
    assert python_requests(wanted) == requests


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        (".python-version", "# ours\n3.12.1\n", "3.12.1"),
        (".python-version", "3.12\n3.11\n", "3.12\n3.11"),
        (".tool-versions", "nodejs 20.1.0\npython 3.11.4 3.10\n", "3.11.4"),
        ("Pipfile", '[requires]\npython_version = "3.10"\n', "3.10"),
        ("api/pyproject.toml", '[project]\nrequires-python = ">=3.11, <4"\n', ">=3.11, <4"),
        ("pyproject.toml", '[tool.poetry.dependencies]\nhttpx = "*"\npython = "^3.10"\n', "^3.10"),
        ("pyproject.toml", '[tool.other]\npython = "^3.10"\n', ""),
    ],
)
def test_files_say_which_python(name: str, text: str, version: str) -> None:
    assert python_version(name, text) == version


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        (".nvmrc", "v20.11.0\n", "v20.11.0"),
        (".tool-versions", "python 3.11\nnodejs 18.2.0\n", "18.2.0"),
        ("package.json", '{"engines": {"node": ">=18"}}', ">=18"),
        ("package.json", '{"engines": {"node": ">=18"}, "volta": {"node": "20.1.0"}}', "20.1.0"),
        ("package.json", '{"devEngines": {"runtime": {"name": "node", "version": "^22"}}}', "^22"),
        ("package.json", "{}", ""),
    ],
)
def test_files_say_which_node(name: str, text: str, version: str) -> None:
    assert node_version(name, text) == version


def test_a_package_file_that_is_none_is_named() -> None:
    with pytest.raises(StepError, match=r"web/package\.json is not JSON"):
        node_version("web/package.json", "{,}")


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("uv.toml", 'required-version = ">=0.5"\n', ">=0.5"),
        ("pyproject.toml", '[tool.uv]\nrequired-version = "==0.8.1"\n', "==0.8.1"),
        ("requirements.txt", "httpx==1\nuv == 0.8.2  # pinned\n", "==0.8.2"),
        (".tool-versions", "uv 0.7.1\n", "0.7.1"),
        ("pyproject.toml", "[project]\n", ""),
    ],
)
def test_files_say_which_uv(name: str, text: str, version: str) -> None:
    assert uv_version(name, text) == version


def test_nodes_long_term_releases_have_names() -> None:
    assert node_range("lts/iron") == "20"
    assert satisfies("22.4.0", node_range("lts/*"))
    assert not satisfies("23.4.0", node_range("lts/*"))
    assert node_range("latest") == "*"
    with pytest.raises(StepError, match="none of argon"):
        node_range("lts/unobtainium")


def test_an_npmrc_reads_the_token_from_the_environment() -> None:
    assert npmrc("https://npm.acme.example/repo", "@Acme", always_auth=True) == (
        "//npm.acme.example/repo/:_authToken=${NODE_AUTH_TOKEN}\n"
        "@acme:registry=https://npm.acme.example/repo/\nalways-auth=true\n"
    )
