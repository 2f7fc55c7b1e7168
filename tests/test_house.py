"""The house: which package may import which. The table is the design's; this enforces it."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import pytest

EVERYTHING = "*"
MAY_IMPORT = {
    "syntax": "",
    "workflow": "syntax",
    "manifests": "syntax",
    "store": "",
    "identity": "store",
    "engine": "",
    "repos": "store identity",
    "registry": "store identity",
    "images": "engine registry syntax",
    "kube": "",
    "kube.local": "kube engine store identity",
    "runner": "workflow images engine",
    "pipelines": "workflow repos registry store identity",
    "delivery": "manifests kube repos registry store identity",
    "web": "pipelines delivery identity store",
    "server": EVERYTHING,
    "cli": "server workflow manifests runner",
}
SOURCE = Path(__file__).parent.parent / "src" / "windlass"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("windlass", cache_dir=None)


def package_of(module: str) -> str:
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[:2] == ["kube", "local"] else (parts or [""])[0]


def test_every_package_is_in_the_table() -> None:
    packages = {child.name for child in SOURCE.iterdir() if (child / "__init__.py").exists()}
    assert packages | {"kube.local"} == set(MAY_IMPORT)


@pytest.mark.parametrize("package", [name for name, row in MAY_IMPORT.items() if row != EVERYTHING])
def test_a_package_imports_what_its_row_lists(graph: grimp.ImportGraph, package: str) -> None:
    allowed = {package, "", *MAY_IMPORT[package].split()}
    wrong = [
        f"{importer} imports {imported}"
        for importer in graph.modules
        if package_of(importer) == package and importer != "windlass"
        for imported in graph.find_modules_directly_imported_by(importer)
        if package_of(imported) not in allowed
    ]
    assert wrong == []


PURE = ("syntax", "workflow", "manifests")
OUTSIDE = {"asyncio", "anyio", "socket", "subprocess", "httpx2", "sqlite3", "threading"}


@pytest.mark.parametrize("package", PURE)
def test_the_pure_packages_stay_pure(package: str) -> None:
    for file in (SOURCE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & OUTSIDE, (
                f"{file}:{getattr(node, 'lineno', 0)}"
            )
