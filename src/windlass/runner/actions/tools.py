"""Set-up actions for tools that must be on the machine already: they verify, and name the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.runner.actions import reading
from windlass.runner.actions.base import BuiltIn, Input
from windlass.runner.actions.versions import ANY, satisfies
from windlass.runner.errors import StepError

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from windlass.runner.actions.base import ActionRun


class SetupTool(BuiltIn):
    """Verify one tool."""

    def __init__(
        self,
        names: Sequence[str],
        tool: str,
        version: Sequence[str],
        *,
        inputs: Sequence[Input],
        outputs: Sequence[str],
    ) -> None:
        self.names = tuple(names)
        self.about = f"Verifies that {tool} is on the PATH of steps; nothing is downloaded."
        self.inputs = tuple(inputs)
        self.outputs = dict.fromkeys(outputs, f"where {tool} is")
        self._tool = tool
        self._argv = list(version)

    def main(self, run: ActionRun) -> None:
        """Find it, and hold its version against the one that is wanted."""
        place = run.which(self._tool)
        shown = run.capture(self._argv, check=False) if place else ""
        if not shown:
            raise StepError(
                f"{self._tool} is not on this machine's PATH: install it there (`windlass doctor` shows what is "
                "found; WINDLASS_SANDBOX_PATHS names further directories for jobs)"
            )
        version = _version(shown)
        wanted = self._wanted(run)
        if wanted not in ANY and version and not satisfies(version, wanted):
            run.warning(f"{self._tool} {wanted} was asked for; the machine has {version}, and that is used")
        for name in self.outputs:
            run.output(name, place)
        run.say(f"{self._tool} {version or shown.strip().splitlines()[0]} ({place})")

    def _wanted(self, run: ActionRun) -> str:
        for name in ("version", "kustomize-version", self._tool):
            if name in run.inputs and run.text(name) not in ANY:
                return run.text(name)
        text = reading.named(run, "version-file") if "version-file" in run.inputs else ""
        return reading.tool_version(run.text("version-file"), text, self._tool) if text else ""


def _version(text: str) -> str:
    import re

    found: re.Match[str] | None = re.search(r"v?(\d+\.\d+(?:\.\d+)?)", text)
    return found[1] if found else ""


_DOWNLOADED = "nothing is downloaded"
KUBECTL = SetupTool(
    ("azure/setup-kubectl",),
    "kubectl",
    ["kubectl", "version", "--client"],
    inputs=(Input("version", "another version on the machine is a warning", "latest"),
            Input("downloadBaseURL", _DOWNLOADED, honour="yes"), Input("checksum", _DOWNLOADED, honour="warn")),
    outputs=("kubectl-path",),
)  # fmt: skip
KUSTOMIZE = SetupTool(
    ("imranismail/setup-kustomize", "syntaqx/setup-kustomize", "yokawasa/action-setup-kube-tools"),
    "kustomize",
    ["kustomize", "version"],
    inputs=(Input("kustomize-version", "another version is a warning", "*"),
            Input("kustomize", "another version is a warning"),
            Input("kubectl", "use azure/setup-kubectl", honour="warn"),
            Input("helm", "use azure/setup-helm", honour="warn"),
            Input("helmv2", "use azure/setup-helm", honour="error"),
            Input("yq", "what is on the machine is used", honour="warn"),
            Input("kubeval", "what is on the machine is used", honour="warn"),
            Input("kubeconform", "what is on the machine is used", honour="warn"),
            Input("conftest", "what is on the machine is used", honour="warn"),
            Input("skaffold", "what is on the machine is used", honour="warn"),
            Input("kube-score", "what is on the machine is used", honour="warn"),
            Input("rancher", "what is on the machine is used", honour="warn"),
            Input("tilt", "what is on the machine is used", honour="warn"),
            Input("arch-type", "only the machine's own", honour="warn"),
            Input("setup-tools", "what is on the machine is used", honour="warn"),
            Input("github-token", _DOWNLOADED, honour="yes"), Input("token", _DOWNLOADED, honour="yes"),
            Input("fail-fast", _DOWNLOADED, "true", honour="yes")),
    outputs=("kustomize-path",),
)  # fmt: skip
HELM = SetupTool(
    ("azure/setup-helm",),
    "helm",
    ["helm", "version", "--short"],
    inputs=(Input("version", "another version on the machine is a warning", "latest"),
            Input("version-file", "a .tool-versions file with the version"),
            Input("token", _DOWNLOADED, honour="yes"), Input("downloadBaseURL", _DOWNLOADED, honour="yes")),
    outputs=("helm-path",),
)  # fmt: skip
