"""Each input that an original has is honoured, warned of or refused: what one has not heard of is silence.

The names are facts, from the action files of the originals.
"""

from __future__ import annotations

import pytest

from windlass.runner.actions import built_in, catalogue
from windlass.runner.actions.base import Action, ActionRun, Input
from windlass.runner.errors import StepError

CACHE = "path key enableCrossOsArchive"
KEPT = "if-no-files-found retention-days compression-level include-hidden-files"
ORIGINALS = {
    "actions/checkout": "repository ref token ssh-key ssh-known-hosts ssh-strict ssh-user persist-credentials path "
    "clean filter sparse-checkout sparse-checkout-cone-mode fetch-depth fetch-tags show-progress lfs submodules "
    "set-safe-directory github-server-url",
    "actions/setup-python": "python-version python-version-file cache architecture check-latest token "
    "cache-dependency-path update-environment allow-prereleases freethreaded pip-version pip-install",
    "astral-sh/setup-uv": "version version-file python-version activate-environment venv-path working-directory "
    "checksum server-url github-token enable-cache cache-dependency-glob restore-cache save-cache cache-suffix "
    "cache-local-path prune-cache cache-python ignore-nothing-to-cache ignore-empty-workdir tool-dir tool-bin-dir "
    "manifest-file add-problem-matchers resolution-strategy",
    "actions/setup-node": "always-auth node-version node-version-file architecture check-latest registry-url scope "
    "token cache package-manager-cache cache-dependency-path mirror mirror-token",
    "actions/cache": f"{CACHE} restore-keys upload-chunk-size fail-on-cache-miss lookup-only save-always",
    "actions/cache/restore": f"{CACHE} restore-keys fail-on-cache-miss lookup-only",
    "actions/cache/save": f"{CACHE} upload-chunk-size",
    "actions/upload-artifact": f"name path overwrite archive {KEPT}",
    "actions/upload-artifact/merge": f"name pattern separate-directories delete-merged {KEPT}",
    "actions/download-artifact": "name artifact-ids path pattern merge-multiple github-token repository run-id "
    "skip-decompress digest-mismatch",
    "docker/login-action": "registry username password scope ecr logout registry-auth",
    "docker/metadata-action": "context images tags flavor labels annotations sep-tags sep-labels sep-annotations "
    "bake-target github-token",
    "docker/setup-buildx-action": "version driver driver-opts buildkitd-flags buildkitd-config buildkitd-config-inline "
    "install use endpoint platforms append cache-binary cleanup keep-state name config config-inline",
    "docker/setup-qemu-action": "image platforms cache-image reset",
    "docker/build-push-action": "add-hosts allow annotations attests build-args build-contexts builder cache-from "
    "cache-to call cgroup-parent context file labels load network no-cache no-cache-filters outputs platforms "
    "provenance pull push sbom secrets secret-envs secret-files shm-size ssh tags target ulimit github-token",
    "codecov/codecov-action": "binary codecov_yml_path commit_parent directory disable_file_fixes disable_search "
    "disable_safe_directory disable_telem dry_run env_vars exclude fail_ci_if_error files flags force git_service "
    "gcov_args gcov_executable gcov_ignore gcov_include handle_no_reports_found job_code name network_filter "
    "network_prefix os override_branch override_build override_build_url override_commit override_pr plugins "
    "recurse_submodules report_code report_type root_dir run_command skip_validation slug swift_project token url "
    "use_legacy_upload_endpoint use_oidc use_pypi verbose version working-directory",
    "actions/github-script": "script github-token debug user-agent previews result-encoding retries "
    "retry-exempt-status-codes base-url",
    "astral-sh/ruff-action": "args src version version-file checksum manifest-file download-from-astral-mirror "
    "github-token summary",
    "pre-commit/action": "extra_args",
    "re-actors/alls-green": "jobs allowed-failures allowed-skips",
    "pypa/gh-action-pypi-publish": "user password repository-url repository_url packages-dir packages_dir "
    "verify-metadata verify_metadata skip-existing skip_existing verbose print-hash print_hash attestations",
    "azure/setup-kubectl": "version downloadBaseURL checksum",
    "azure/setup-helm": "version version-file token downloadBaseURL",
    "imranismail/setup-kustomize": "kustomize-version github-token fail-fast",
    "syntaqx/setup-kustomize": "kustomize-version token",
    "yokawasa/action-setup-kube-tools": "fail-fast kubectl kustomize helm helmv2 kubeval kubeconform conftest yq "
    "rancher tilt skaffold kube-score setup-tools arch-type",
}


def test_every_built_in_action_has_its_original_here() -> None:
    assert ORIGINALS.keys() | {"chartboost/ruff-action"} == catalogue().keys()


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_input_of_the_original_has_one_fate(name: str) -> None:
    action = built_in(f"{name}@v1")
    assert action is not None
    known = [spec.name for spec in action.inputs]
    assert len(known) == len({one.lower() for one in known})
    assert set(ORIGINALS[name].split()) - set(known) == set()
    assert {spec.honour for spec in action.inputs} <= {"yes", "warn", "error"}


class Asked(ActionRun):
    """What is said of the inputs of a step, without the step."""

    def __init__(self, action: Action, given: dict[str, str]) -> None:
        self.action = action
        self._given = {name.lower(): value for name, value in given.items()}
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def judge(self) -> list[str]:
        self._check_inputs()
        return self.warnings


def fates(honour: str) -> list[tuple[Action, Input]]:
    actions = {id(action): action for action in catalogue().values()}.values()
    return [(action, spec) for action in actions for spec in action.inputs if spec.honour == honour]


def required(action: Action) -> dict[str, str]:
    return {spec.name: "something" for spec in action.inputs if spec.required}


@pytest.mark.parametrize(("action", "spec"), fates("error"), ids=lambda one: getattr(one, "name", ""))
def test_what_would_change_the_result_is_refused(action: Action, spec: Input) -> None:
    with pytest.raises(StepError, match=f"input {spec.name}: .* cannot be honoured here"):
        Asked(action, {**required(action), spec.name: "surely-not"}).judge()
    for value in ("", spec.default, *spec.fine):
        assert Asked(action, {**required(action), spec.name: value}).judge() == []


@pytest.mark.parametrize(("action", "spec"), fates("warn"), ids=lambda one: getattr(one, "name", ""))
def test_what_has_no_effect_is_said(action: Action, spec: Input) -> None:
    (said,) = Asked(action, {**required(action), spec.name: "surely-not"}).judge()
    assert said.startswith(f"input {spec.name} has no effect here: ")
    assert Asked(action, {**required(action), spec.name: spec.default}).judge() == []


def test_what_the_original_has_not_is_said() -> None:
    for action in catalogue().values():
        (said,) = Asked(action, {**required(action), "surely-not": "x"}).judge()
        assert said.startswith("Unexpected input(s) 'surely-not'")


def test_what_is_required_is_missed() -> None:
    action = built_in("actions/cache@v4")
    assert action is not None
    with pytest.raises(StepError, match="Input required and not supplied: path"):
        Asked(action, {"key": "k"}).judge()
