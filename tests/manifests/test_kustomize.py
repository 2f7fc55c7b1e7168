from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from windlass.manifests import BuildError, FolderTree, ManifestError, MemoryTree, read, render
from windlass.manifests.kustomize import build
from windlass.manifests.kustomize.edit import add_resource, set_field, set_image

if TYPE_CHECKING:
    from pathlib import Path

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: log, image: busybox}
      - name: web
        image: ghcr.io/acme/web:v1
        envFrom: [{configMapRef: {name: settings}}]
        env: [{name: A, value: "1"}]
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"


def built(overlay: str, **more: str) -> list[dict[str, Any]]:
    base = "resources: [deployment.yaml, service.yaml]\n"
    files = {
        "base/kustomization.yaml": base,
        "base/deployment.yaml": DEPLOYMENT,
        "base/service.yaml": SERVICE,
    }
    files |= {
        "over/kustomization.yaml": overlay,
        **{name.replace("__", "/"): text for name, text in more.items()},
    }
    return build(MemoryTree(files), "over")


def container(items: list[dict[str, Any]], name: str = "web") -> dict[str, Any]:
    deployment = next(item for item in items if item["kind"] == "Deployment")
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    return next(each for each in found if each["name"] == name)


def test_an_overlay_sets_names_namespace_images_replicas_and_generated_settings() -> None:
    items = built(
        "resources: [../base]\nnamespace: prod\nnamePrefix: a-\nnameSuffix: -z\n"
        "images: [{name: ghcr.io/acme/web, newTag: v2}]\nreplicas: [{name: web, count: 3}]\n"
        "configMapGenerator: [{name: settings, literals: [BREAK=1]}]\n"
    )
    config = next(item for item in items if item["kind"] == "ConfigMap")
    assert config["metadata"]["name"].startswith("a-settings-z-")
    assert container(items)["envFrom"][0]["configMapRef"]["name"] == config["metadata"]["name"]
    assert container(items)["image"] == "ghcr.io/acme/web:v2"
    assert items[0]["spec"]["replicas"] == 3
    assert {item["metadata"]["namespace"] for item in items} == {"prod"}
    assert items[1]["metadata"]["name"] == "a-web-z"


def test_a_strategic_patch_merges_containers_by_name_and_env_by_name() -> None:
    patch = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: ["
        "{name: web, env: [{name: BREAK, value: '1'}]}, {name: log, $patch: delete}]}}}\n"
    )
    items = built(
        "resources: [../base]\npatches: [{path: p.yaml}]\n", over__p_yaml="", **{"over/p.yaml": patch}
    )
    assert container(items)["env"] == [{"name": "BREAK", "value": "1"}, {"name": "A", "value": "1"}]
    assert len(items[0]["spec"]["template"]["spec"]["containers"]) == 1


def test_a_json_patch_reaches_all_its_targets() -> None:
    items = built(
        "resources: [../base]\npatches:\n- target: {kind: .*}\n"
        "  patch: |-\n    - {op: add, path: /metadata/annotations, value: {x: y}}\n"
    )
    assert [item["metadata"]["annotations"] for item in items] == [{"x": "y"}, {"x": "y"}]


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("resources: [../../etc]\n", "outside the repository"),
        ("resources: [https://example.com/x]\n", "remote"),
        ("resources: [../base]\nhelmCharts: []\n", "helmCharts"),
        ("resources: [../base/service.yaml]\n", "refer to its folder"),
        ("resources: [../over]\n", "circle"),
        ("resources: [../base, ../base]\n", "there twice"),
        ("resources: [../base]\nreplicas: [{name: nobody, count: 2}]\n", "nobody"),
        ("resources: [missing.yaml]\n", "does not exist"),
        (
            "resources: [../base]\nconfigMapGenerator: [{name: x, files: [../../key]}]\n",
            "outside the repository",
        ),
        (
            "resources: [../base]\npatchesStrategicMerge: ['{apiVersion: v1, kind: Service, metadata: {name: no}}']\n",
            "no Service no",
        ),
    ],
)
def test_what_cannot_be_built_says_why(overlay: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        built(overlay)


IMAGES = """\
# the images
resources:
- ../base

images:
- name: ghcr.io/acme/web # ours
  newTag: v1   # bumped by the pipeline
- name: other
  newName: registry/other
  digest: sha256:aa
# the end
namespace: prod
"""


def test_setting_an_image_changes_one_line() -> None:
    assert set_image(IMAGES, "ghcr.io/acme/web=ghcr.io/acme/web:v2") == IMAGES.replace(
        "newTag: v1   #", "newTag: v2   #"
    )


def test_a_digest_takes_the_place_of_a_tag() -> None:
    digest = "sha256:" + "b" * 64
    found = set_image(IMAGES, f"ghcr.io/acme/web@{digest}")
    assert read(found)[0].value["images"][0] == {"name": "ghcr.io/acme/web", "digest": digest}
    assert found.count("\n") == IMAGES.count("\n")
    assert "# ours" in found


def test_a_new_image_is_added_and_the_rest_stays() -> None:
    found = set_image(IMAGES, "third=ghcr.io/acme/third:1.0")
    assert read(found)[0].value["images"][2] == {
        "name": "third",
        "newName": "ghcr.io/acme/third",
        "newTag": "1.0",
    }
    assert [line for line in found.splitlines() if line not in IMAGES.splitlines()] == [
        "- name: third",
        "  newName: ghcr.io/acme/third",
        '  newTag: "1.0"',
    ]


@pytest.mark.parametrize("text", ["resources: [a]\n", "", "images: []\n", "images: [{name: x, newTag: a}]\n"])
def test_an_image_is_set_in_any_file(text: str) -> None:
    for _ in range(2):
        text = set_image(text, "x=y/x:2")
    assert read(text)[0].value["images"] == [{"name": "x", "newName": "y/x", "newTag": "2"}]


@pytest.mark.parametrize("bad", ["x", "=y:1", ""])
def test_what_is_no_image_is_refused(bad: str) -> None:
    with pytest.raises(BuildError):
        set_image("", bad)


def test_fields_and_resources() -> None:
    assert set_field(IMAGES, "namespace", "dev") == IMAGES.replace("prod", "dev")
    assert "namePrefix: a-" in set_field(IMAGES, "namePrefix", "a-")
    assert add_resource(IMAGES, "x.yaml") == IMAGES.replace("- ../base\n", "- ../base\n- x.yaml\n")
    assert add_resource(IMAGES, "../base") == IMAGES


def _command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "windlass.manifests.kustomize", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.integration
def test_the_command_edits_and_builds_as_kubectl_does(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "over").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "base/kustomization.yaml").write_text("resources: [deployment.yaml, service.yaml]\n")
    (tmp_path / "base/deployment.yaml").write_text(DEPLOYMENT)
    (tmp_path / "base/service.yaml").write_text(SERVICE)
    (tmp_path / "over/kustomization.yaml").write_text("resources:\n- ../base\n")
    over = tmp_path / "over"
    assert _command("edit", "set", "image", "ghcr.io/acme/web=ghcr.io/acme/web:v9", cwd=over).returncode == 0
    assert _command("edit", "set", "namespace", "prod", cwd=over).returncode == 0
    ours = _command("build", "over", cwd=tmp_path)
    assert "image: ghcr.io/acme/web:v9" in ours.stdout
    refused = _command("edit", "set", "image", cwd=over)
    assert (refused.returncode, "usage" in refused.stderr) == (1, True)
    request.getfixturevalue("modern_kubectl")
    theirs = subprocess.run(
        ["kubectl", "kustomize", "over"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ours.stdout == theirs.stdout


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "secret.yaml").write_text(SERVICE)
    (tmp_path / "app/x.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(ManifestError, match="leaves"):
        render(FolderTree(tmp_path / "app"), {"path": "."})


def test_a_plain_folder_is_read_as_it_is() -> None:
    tree = MemoryTree(
        {"app/a.yaml": SERVICE, "app/b/c.yaml": DEPLOYMENT, "app/README.md": "x", "app/d.json": "{}"}
    )
    with pytest.raises(ManifestError, match=r"d\.json"):
        render(tree, {"path": "app"})
    assert [item["kind"] for item in render(tree, {"path": "app", "directory": {"exclude": "*.json"}})] == [
        "Service"
    ]
    found = render(tree, {"path": "app", "directory": {"exclude": "*.json", "recurse": True}})
    assert [item["kind"] for item in found] == ["Service", "Deployment"]


def test_an_applications_own_options_lie_over_the_kustomization() -> None:
    tree = MemoryTree({"a/kustomization.yaml": "resources: [d.yaml]\n", "a/d.yaml": DEPLOYMENT})
    source = {"path": "a", "kustomize": {"images": ["ghcr.io/acme/web:v7"], "namePrefix": "p-"}}
    items = render(tree, source)
    assert container(items)["image"] == "ghcr.io/acme/web:v7"
    assert items[0]["metadata"]["name"] == "p-web"
