"""pypa/gh-action-pypi-publish: distributions go to a package index, by twine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.python import need_uv
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

INDEX = "https://upload.pypi.org/legacy/"
_TWINE = ("uvx", "twine")
_TOKEN = "__token__"  # noqa: S105 - a user's name
_OLD = "the older name of {}"
_FILES = 'shopt -s nullglob; for one in "$1"/*.whl "$1"/*.tar.gz "$1"/*.zip; do printf "%s\\n" "$one"; done'
_RENAMED = ("repository-url", "packages-dir", "verify-metadata", "skip-existing", "print-hash")


class PypiPublish(BuiltIn):
    """Upload what was built."""

    names = ("pypa/gh-action-pypi-publish",)
    about = (
        "Uploads distributions to a package index with twine, which uv brings, by a user and a password or API "
        "token. Trusted publishing, which is what no password means, is refused: indexes trust the identity "
        "tokens of GitHub, not those of this server."
    )
    inputs = (
        Input("user", "the user; `__token__` for an API token", _TOKEN),
        Input("password", "the password or API token"),
        Input("repository-url", "the index; PyPI by default"),
        Input("packages-dir", "where the distributions are", "dist"),
        Input("verify-metadata", "whether `twine check` comes first", "true"),
        Input("skip-existing", "whether a file that is there already is no error", "false"),
        Input("verbose", "whether twine tells more", "false"),
        Input("print-hash", "whether the files' digests are shown", "false"),
        Input("attestations", "made with trusted publishing only", "true", honour="yes"),
        *(Input(name.replace("-", "_"), _OLD.format(name)) for name in _RENAMED),
    )

    def main(self, run: ActionRun) -> None:
        """Check, then upload."""
        for name in _RENAMED:
            run.inputs[name] = run.text(name.replace("-", "_")) or run.inputs[name]
        url = run.text("repository-url") or INDEX
        password = _password(run, url)
        files = _files(run)
        need_uv(run)
        if run.flag("verify-metadata"):
            run.run([*_TWINE, "check", *files])
        if run.flag("print-hash"):
            for tool in ("sha256sum", "md5sum", "b2sum"):
                run.run([tool, *files])
        options = [f"--{name}" for name in ("skip-existing", "verbose") if run.flag(name)]
        secret = {"TWINE_USERNAME": run.text("user"), "TWINE_PASSWORD": password, "TWINE_REPOSITORY_URL": url}
        argv = [*_TWINE, "upload", "--non-interactive", "--disable-progress-bar", *options, *files]
        run.run(argv, env=secret)


def _password(run: ActionRun, url: str) -> str:
    """Return the password, from now on hidden. Raises `StepError` where trusted publishing is meant."""
    password = run.text("password")
    if not password:
        raise StepError(
            f"there is no password, and trusted publishing is not possible from here: {url} trusts the identity "
            "tokens of GitHub, not those of this server. Make an API token there, keep it as a secret, and write "
            "`password: ${{ secrets.PYPI_API_TOKEN }}` under `with:`"
        )
    run.state.masker.add(password)
    if run.text("user") == _TOKEN and re.search(r"\bpypi\.org/", url) and not password.startswith("pypi-"):
        run.warning("The user is __token__, but the password does not begin with `pypi-`, as API tokens do.")
    return password


def _files(run: ActionRun) -> list[str]:
    directory = run.text("packages-dir").rstrip("/") or "."
    place = directory if directory.startswith("/") else f"./{directory}"  # never an option of twine's
    found = run.capture(["bash", "-c", _FILES, "bash", place]).splitlines()
    if not found:
        raise StepError(
            f"there are no distributions (.whl, .tar.gz, .zip) in {directory}: build them before this step, or "
            "name their directory with `packages-dir`"
        )
    return found
