"""Run every conformance suite that is found in a folder: `run.py [DIR [RESULT]]`.

`DIR` has one folder a suite. Each suite is a module of this name beside this file, in `suites/`, with
`run(folder) -> Iterable[Case]`. Prints `NAME: PASSED/TOTAL` and each failure, writes
`build/conformance.json`. The exit code is 1 where a case fails, or where there are none.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from conformance.cases import Case  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def suites(folder: Path) -> dict[str, ModuleType]:
    """Return the suites that have both a module and a folder of data, by name."""
    return {
        path.stem: _load(path)
        for path in sorted((HERE / "suites").glob("*.py"))
        if (folder / path.stem).is_dir()
    }


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _cases(name: str, module: ModuleType, folder: Path) -> Iterable[Case]:
    try:
        yield from module.run(folder / name)
    except Exception as error:  # noqa: BLE001 one broken suite must not hide the others
        yield Case(
            name, passed=False, result=f"{type(error).__name__}: {error}", expected="a suite that runs"
        )


def _json(value: Any) -> Any:
    """Return the value with what JSON cannot hold as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def main(arguments: list[str]) -> int:
    """Run all suites of the folder named by the argument, by `DIR`, or beside the repository."""
    default = os.environ.get("DIR") or str(ROOT.parent / "shared" / "conformance")
    folder = Path(arguments[0] if arguments else default)
    if not folder.is_dir():
        sys.stderr.write(f"No conformance data in {folder}: name a folder by DIR=\n")
        return 2
    rows: list[dict[str, Any]] = []
    for name, module in suites(folder).items():
        cases = list(_cases(name, module, folder))
        passed = sum(case.passed for case in cases)
        print(f"{name}: {passed}/{len(cases)}")  # noqa: T201 its output
        for case in cases:
            rows.append({"suite": name, "id": case.id, "result": _json(case.result), "passed": case.passed})
            if not case.passed:
                print(f"  {case.id}\n    " + case.difference().replace("\n", "\n    "))  # noqa: T201
    target = Path(arguments[1]) if len(arguments) > 1 else ROOT / "build" / "conformance.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1, ensure_ascii=False, default=str) + "\n")
    failed = sum(not row["passed"] for row in rows)
    said = f"{failed} of {len(rows)} cases failed" if failed else f"all {len(rows)} cases passed"
    sys.stderr.write(f"{said if rows else 'no suite has data there'}; written to {target}\n")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
