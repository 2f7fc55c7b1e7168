from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from windlass.images.machine import Machine, aids, read_machine, usable

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plain_machine_needs_no_aids(tmp_path: Path) -> None:
    machine = read_machine({}, tmp_path, tmp_path)
    assert machine == Machine()
    assert aids(machine).files == {}
    assert aids(machine).env == {}


def test_configuration_is_read_weakest_first(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text("[global]\nindex-url = https://site.example/simple\ntimeout = 5\n")
    (tmp_path / "home/.config/pip").mkdir(parents=True)
    (tmp_path / "home/.config/pip/pip.conf").write_text(
        "[global]\nindex_url = https://user.example/simple\nextra-index-url =\n  https://a.example\n  file:///b\n"
    )
    (tmp_path / "home/.npmrc").write_text("//x/:_authToken=secret\nregistry = https://npm.example/\n")
    (tmp_path / "ca.pem").write_text("BUNDLE")
    env = {
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "PIP_DEFAULT_TIMEOUT": "180",
        "PIP_TRUSTED_HOST": "user.example",
        "UV_INDEX": "https://uv.example/one named=https://uv.example/two file:///three",
    }
    machine = read_machine(env, tmp_path / "home", tmp_path)
    assert machine.ca_bundle == b"BUNDLE"
    assert machine.pip["index-url"] == "https://user.example/simple"
    given = aids(machine)
    assert given.files["ca.pem"] == b"BUNDLE"
    assert given.files["pip/pip.conf"].decode().splitlines() == [
        "[global]",
        "timeout = 180",
        "index-url = https://user.example/simple",
        "extra-index-url = https://a.example",
        "trusted-host = user.example",
        "cert = /dev/windlass/ca.pem",
    ]
    assert given.files["npmrc"] == b"registry=https://npm.example/\n"
    assert given.files["uv/uv.toml"].decode().count("[[index]]") == 2
    assert b"secret" not in b"".join(given.files.values())


def test_variables_name_paths_only_so_that_no_record_of_a_build_describes_the_machine() -> None:
    machine = Machine(
        b"B", {"index-url": "https://mirror.example/simple"}, "https://npm.example", "https://uv.example"
    )
    given = aids(machine)
    assert given.env["SSL_CERT_FILE"] == given.env["PIP_CERT"] == "/dev/windlass/ca.pem"
    assert all(
        part.startswith(("/dev/windlass", "/etc/xdg"))
        for value in given.env.values()
        for part in value.split(":")
    )
    for name in given.files:
        assert not name.startswith("/")


@pytest.mark.parametrize(
    ("url", "is_usable"),
    [
        ("https://mirror.example/simple", True),
        ("http://10.0.0.1:8080/", True),
        ("file:///srv/packages", False),
        ("/srv/wheels", False),
        ("http://127.0.0.1:3141/", False),
        ("http://localhost:3141/", False),
        ("https://user:password@mirror.example/", False),
        ("", False),
    ],
)
def test_only_what_a_container_can_reach_without_credentials(url: str, is_usable: bool) -> None:
    assert usable(url) is is_usable
