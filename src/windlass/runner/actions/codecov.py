"""codecov/codecov-action: reports are kept as an artifact of the run, their figure recorded, a gate applied."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from windlass.runner.actions import coverage
from windlass.runner.actions.artifacts import Spool, keep
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.reading import content
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

_KEPT = "reports stay on this server"
_LIMIT = 8 << 20
_MOST = 50
_SKIPPED = (".git", "node_modules", ".venv", "venv", ".tox", "site-packages")
_KIND = "only coverage is read"


class Codecov(BuiltIn):
    """Coverage, kept and judged here."""

    names = ("codecov/codecov-action",)
    about = (
        "Keeps coverage reports (Cobertura's XML, coverage.py's JSON, LCOV) as an artifact, records the percentage, "
        "and fails where it is less than the `target` of a codecov.yml; nothing leaves this server."
    )
    inputs = (
        Input("files", "reports, with commas; searched for where none are named"),
        Input("file", "one report, the older name"),
        Input("directory", "where reports are searched for"),
        Input("disable_search", "whether only `files` count", "false"),
        Input("exclude", "directories not to search, with commas"),
        Input("working-directory", "where paths begin"),
        Input("root_dir", _KEPT, honour="yes"),
        Input("fail_ci_if_error", "whether the step fails where no report is found or read", "false"),
        Input("handle_no_reports_found", "whether no report is no error", "false"),
        Input("flags", "part of the artifact's name"),
        Input("name", "part of the artifact's name"),
        Input("dry_run", "whether nothing is kept", "false"),
        Input("codecov_yml_path", "the file with the gate; codecov.yml or .codecov.yml by default"),
        Input("report_type", _KIND, honour="warn", fine=("coverage",)),
        Input("plugins", "reports are read as they are", honour="warn", fine=("noop",)),
        Input("token", _KEPT, honour="yes"),
        Input("use_oidc", _KEPT, "false", honour="yes"),
        Input("url", _KEPT, honour="warn"),
        Input("slug", _KEPT, honour="yes"),
        Input("verbose", "what is found is always said", "false", honour="yes"),
        Input("version", "no program of Codecov's is run", "latest", honour="yes"),
        Input("use_pypi", "no program of Codecov's is run", "false", honour="yes"),
        Input("binary", "no program of Codecov's is run", honour="warn"),
        Input("os", "no program of Codecov's is run", honour="yes"),
        Input("skip_validation", "no program of Codecov's is run", "false", honour="yes"),
        Input("use_legacy_upload_endpoint", _KEPT, "false", honour="yes"),
        Input("disable_safe_directory", "the workspace belongs to the job's user already", "false", honour="yes"),
        Input("disable_telem", _KEPT, "false", honour="yes"),
        Input("git_service", _KEPT, "github", honour="yes"),
        Input("env_vars", _KEPT, honour="warn"),
        Input("job_code", _KEPT, honour="yes"),
        Input("report_code", _KEPT, honour="yes"),
        Input("run_command", "coverage is uploaded, nothing else", "upload-coverage", honour="error",
              fine=("upload-process", "do-upload")),
        Input("recurse_submodules", "what is checked out is searched", "false", honour="yes"),
        Input("commit_parent", "the run's own commit counts", honour="warn"),
        Input("override_branch", "the run's own branch counts", honour="warn"),
        Input("override_build", "the run itself counts", honour="warn"),
        Input("override_build_url", "the run itself counts", honour="warn"),
        Input("override_commit", "the run's own commit counts", honour="warn"),
        Input("override_pr", "the run's own event counts", honour="warn"),
        Input("disable_file_fixes", "reports are read as they are", "false", honour="yes"),
        Input("force", "there is nothing to be forced", "false", honour="yes"),
        Input("network_filter", "reports are read as they are", honour="warn"),
        Input("network_prefix", "reports are read as they are", honour="warn"),
        Input("gcov_args", "gcov is not run", honour="error"),
        Input("gcov_executable", "gcov is not run", "gcov", honour="error"),
        Input("gcov_ignore", "gcov is not run", honour="error"),
        Input("gcov_include", "gcov is not run", honour="error"),
        Input("swift_project", "Swift's own reports are not read", honour="error"),
    )  # fmt: skip
    outputs = MappingProxyType({"percent": "the coverage in per cent"})

    def main(self, run: ActionRun) -> None:
        """Read, keep, judge."""
        found = _reports(run)
        if not found:
            _no_reports(run)
            return
        total = coverage.together(list(found.values()))
        for path, lines in found.items():
            run.say(f"{path}: {lines.percent} %")
        run.output("percent", f"{total.percent}")
        run.state.sink.emit("coverage", percent=total.percent)
        if not run.flag("dry_run"):
            _keep(run, list(found))
        _judge(run, total.percent)


def _reports(run: ActionRun) -> dict[str, coverage.Lines]:
    """Return what the reports say that are named or found."""
    named = [part.strip() for part in f"{run.text('files')},{run.text('file')}".split(",") if part.strip()]
    paths = dict.fromkeys(_placed(run, path) for path in named)
    if not run.flag("disable_search"):
        paths |= dict.fromkeys(_search(run))
    found = {}
    for path in list(paths)[:_MOST]:
        text = _text(run, path)
        lines = coverage.read(path, text) if text is not None else None
        if lines is not None:
            found[path] = lines
        elif path in {_placed(run, name) for name in named}:
            _failed(
                run,
                f"{path} " + ("is not there" if text is None else "is no coverage report that is read here"),
            )
    return found


def _text(run: ActionRun, path: str) -> str | None:
    run.host_path(path)
    code, text = run.hear(["head", "-c", str(_LIMIT), "--", path], shown=False)
    return text if code == 0 else None


def _placed(run: ActionRun, path: str) -> str:
    """Return a path as it is from the workspace."""
    where = run.text("working-directory").strip("/").removeprefix("./")
    return (
        f"{where}/{path.removeprefix('./')}"
        if where and not path.startswith("/")
        else path.removeprefix("./")
    )


def _search(run: ActionRun) -> list[str]:
    where = _placed(run, run.text("directory") or ".").rstrip("/") or "."
    where = where if where.startswith("/") else f"./{where}".removesuffix("/.")  # never an option of find's
    run.host_path(where)
    excluded = [
        *_SKIPPED,
        *(part.strip().strip("/") for part in run.text("exclude").split(",") if part.strip()),
    ]
    pruned = [part for name in excluded for part in ("-o", "-name", name.rpartition("/")[2])][1:]
    wanted = [part for name in coverage.NAMES for part in ("-o", "-name", name)][1:]
    argv = ["find", where, "-type", "d", "(", *pruned, ")", "-prune", "-o", "-type", "f", "(", *wanted, ")",
            "-print"]  # fmt: skip
    listed = run.capture(argv, check=False).splitlines()
    return sorted(path.removeprefix("./") for path in listed)


def _no_reports(run: ActionRun) -> None:
    if run.flag("handle_no_reports_found"):
        run.say("No coverage reports were found.")
    else:
        _failed(
            run,
            "No coverage reports were found: name them in `files`, or write coverage.xml before this step.",
        )


def _failed(run: ActionRun, text: str) -> None:
    if run.flag("fail_ci_if_error"):
        raise StepError(text)
    run.warning(text)


def _keep(run: ActionRun, paths: list[str]) -> None:
    parts = ["coverage", run.state.spec.key, run.text("flags") or run.text("name")]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(filter(None, parts))).strip("-")[:150]
    spool = Spool(run, ".zip")
    try:
        packed = run.helper("archive", "pack", spool.inside, "6", "true", *paths)
        with spool.open() as archive:
            keep(run, name, archive, int(packed["files"]), overwrite=True)
    finally:
        spool.remove()


def _judge(run: ActionRun, percent: float) -> None:
    """Hold the coverage against the gate that the repository sets. Raises `StepError` where it is less."""
    named = run.text("codecov_yml_path")
    for name in (named,) if named else coverage.CONFIGURATIONS:
        text = content(run, name)
        if text is None:
            continue
        gate = coverage.gate(name, text)
        if gate is None:
            run.say(f"{name} sets no fixed target; a comparison with an earlier commit is not made.")
        elif percent >= gate.minimum:
            run.say(f"Coverage {percent} % is at least the {gate.minimum} % of {gate.place}.")
        elif gate.informational:
            run.warning(f"Coverage {percent} % is less than the {gate.minimum} % of {gate.place}.")
        else:
            raise StepError(f"Coverage {percent} % is less than the {gate.minimum} % of {gate.place}.")
        return
