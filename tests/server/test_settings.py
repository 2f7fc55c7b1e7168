from __future__ import annotations

import stat
from pathlib import Path

import pytest

from windlass.server.datadir import DataDirectory, DataDirectoryError
from windlass.server.settings import Settings, SettingsError, load_settings


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "windlass.yaml").write_text("port: 9000\njobs: 3\n")
    settings = load_settings(tmp_path, {"port": 9001, "jobs": None})
    assert (settings.port, settings.jobs, settings.edge_port) == (9001, 3, 8702)
    assert settings.mirrors == {"ghcr.io": "127.0.0.1:9001"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: many", "port"),
        ("colour: blue", "colour"),
        ("- port", "expected a map"),
        ("a: [", "not YAML"),
        ("port: 70000", "65535"),
        ("port: 9000\nedge_port: 9000", "edge_port: 9000 is port already"),
        ("service_ports: [9, 3]", "the first and the last port"),
        ("colour: blue", "there is no such setting; there are host, port,"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_and_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "windlass.yaml").write_text(text)
    with pytest.raises(SettingsError, match=expected) as caught:
        load_settings(tmp_path, {})
    assert str(tmp_path / "windlass.yaml") in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "windlass.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"windlass.yaml: cannot be read"):
        load_settings(tmp_path, {})


def test_a_port_that_only_a_default_takes_names_the_option_that_helps(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"option --kubernetes-port: 8701 is port already"):
        load_settings(tmp_path, {"port": 8701})


def test_an_option_that_cannot_be_used_is_named_as_an_option(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"option --edge-port: .*65535") as caught:
        load_settings(tmp_path, {"edge_port": 80000})
    assert "windlass.yaml" not in str(caught.value)


def test_a_data_directory_is_private_and_belongs_to_one_server(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    with directory.lock(), pytest.raises(DataDirectoryError, match="in use by the server with process id"):
        directory.lock()
    directory.lock().close()


def test_a_secret_file_is_its_owners_only(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    path = directory.write_secret(tmp_path / "token", "one")
    directory.write_secret(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in tmp_path.iterdir()] == ["token"]


def test_what_cannot_be_a_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="cannot be the data directory"):
        DataDirectory(tmp_path / "file" / "data").prepare()


def test_every_setting_has_its_line_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in page
        assert str(field.description) in page
