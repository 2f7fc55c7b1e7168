from __future__ import annotations

from pathlib import Path

import pytest

from windlass.engine.references import parse_reference
from windlass.images.apt import Distribution, Source, parse_deb822, parse_list, read_distribution
from windlass.images.errors import BaseUnavailableError
from windlass.images.stand_in import decide, mmdebstrap, sources_list

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BOOKWORM = Distribution(
    "debian", "bookworm", (Source("http://mirror.example/debian", "bookworm", ("main",), KEYRING),)
)


def test_one_line_sources() -> None:
    text = """\
# comment
deb http://a.example/debian bookworm main contrib # trailing
deb [arch=amd64 signed-by=/k.gpg] https://b.example/debian bookworm-updates main
deb-src http://a.example/debian bookworm main
deb cdrom:[x]/ bookworm main
"""
    assert parse_list(text)[:2] == [
        Source("http://a.example/debian", "bookworm", ("main", "contrib")),
        Source("https://b.example/debian", "bookworm-updates", ("main",), "/k.gpg"),
    ]


def test_deb822_sources() -> None:
    text = """\
Types: deb deb-src
# a comment between
URIs: http://a.example/debian http://b.example/debian
Suites: bookworm bookworm-updates
Components: main universe
Signed-By: /k.gpg

Types: deb
Enabled: no
URIs: http://c.example
Suites: bookworm
Components: main

Types: deb
URIs: http://d.example
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""
    found = parse_deb822(text)
    assert [(s.uri, s.suite) for s in found] == [
        ("http://a.example/debian", "bookworm"),
        ("http://a.example/debian", "bookworm-updates"),
        ("http://b.example/debian", "bookworm"),
        ("http://b.example/debian", "bookworm-updates"),
        ("http://d.example", "bookworm"),
    ]
    assert found[0].components == ("main", "universe")
    assert found[-1].signed_by.splitlines() == [
        "-----BEGIN PGP PUBLIC KEY BLOCK-----", "", "abc", "-----END PGP PUBLIC KEY BLOCK-----"
    ]  # fmt: skip


def test_the_distribution_is_the_machines_without_others_repositories(tmp_path: Path) -> None:
    apt = tmp_path / "etc/apt/sources.list.d"
    apt.mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (apt.parent / "sources.list").write_text(
        "deb http://a.example/debian bookworm main\ndeb http://a.example/debian bookworm-backports main\n"
        "deb http://s.example/debian-security bookworm-security main\ndeb cdrom:[x]/ bookworm main\n"
    )
    (apt / "other.list").write_text("deb https://packages.example/x cloud-sdk-bookworm main\n")
    (apt / "node.sources").write_text(
        "Types: deb\nURIs: https://n.example\nSuites: nodistro\nComponents: main\n"
    )
    found = read_distribution(tmp_path)
    assert found is not None
    assert (found.name, found.codename) == ("debian", "bookworm")
    assert [source.suite for source in found.sources] == ["bookworm", "bookworm-security"]
    assert read_distribution(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "python:3",
        "python:3.11",
        "python:3.11-slim",
        "python:3.11.9-slim",
        "python:slim",
        "python:3-slim-bookworm",
        "python:3.11-bookworm",
        "docker.io/library/python:3.11-slim",
    ],
)
def test_what_a_python_of_the_same_minor_version_may_stand_in_for(name: str) -> None:
    assert decide(parse_reference(name), BOOKWORM, "3.11.2", "amd64").version == "3.11.2"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("python:3.12-slim", r"have Python 3\.11, not 3\.12"),
        ("python:3.1", "not 3.1"),
        ("python:2", "not 2"),
        ("python:3.11-alpine", "packages are bookworm"),
        ("python:3.11-slim-trixie", "packages are bookworm"),
        ("python:3.13.0rc1", "tag or digest"),
        ("python@sha256:" + "a" * 64, "tag or digest"),
        ("node:20", "does not answer"),
        ("ghcr.io/acme/python:3.11-slim", "does not answer"),
    ],
)
def test_what_it_may_not_stand_in_for_and_why(name: str, reason: str) -> None:
    with pytest.raises(BaseUnavailableError, match=reason) as caught:
        decide(parse_reference(name), BOOKWORM, "3.11.2", "amd64")
    assert "What helps" in str(caught.value)


def test_without_apt_there_is_no_stand_in() -> None:
    with pytest.raises(BaseUnavailableError, match="no apt sources"):
        decide(parse_reference("python:3.11"), None, "", "amd64")


def test_the_cache_key_changes_with_all_that_goes_in() -> None:
    reference = parse_reference("python:3.11-slim")
    recipe = decide(reference, BOOKWORM, "3.11.2", "amd64")
    others = [
        decide(reference, BOOKWORM, "3.11.3", "amd64"),
        decide(reference, BOOKWORM, "3.11.2", "arm64"),
        decide(reference, Distribution("debian", "bookworm", ()), "3.11.2", "amd64"),
    ]
    assert len({recipe.key, *(other.key for other in others)}) == 4
    assert decide(parse_reference("python:3"), BOOKWORM, "3.11.2", "amd64").key == recipe.key


def test_the_sources_are_the_machines_and_nothing_to_log_in_with_is_in_the_image() -> None:
    recipe = decide(parse_reference("python:3.11-slim"), BOOKWORM, "3.11.2", "amd64")
    assert (
        sources_list(recipe, {}) == f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main\n"
    )
    assert sources_list(recipe, {KEYRING: Path("/tmp/k.asc")}).startswith("deb [signed-by=/tmp/k.asc] ")
    assert recipe.image_sources() == "deb http://mirror.example/debian bookworm main\n"
    private = [
        Source("https://anna:secret@mirror.example/debian", "bookworm", ("main",)),
        Source("file:/srv/debian", "bookworm", ("main",)),
    ]
    closed = decide(
        parse_reference("python:3.11-slim"),
        Distribution("debian", "bookworm", tuple(private)),
        "3.11.2",
        "amd64",
    )
    assert closed.image_sources() == "deb https://mirror.example/debian bookworm main\n"


def test_mmdebstrap_is_called_so() -> None:
    recipe = decide(parse_reference("python:3.11-slim"), BOOKWORM, "3.11.2", "amd64")
    assert mmdebstrap(recipe, Path("/s/build.list"), Path("/s/sources.list"), Path("/s/base.tar")) == (
        "mmdebstrap",
        "--variant=apt",
        "--include=python3,python3-venv,ca-certificates,usr-is-merged",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/lintian/*",
        "--dpkgopt=path-exclude=/usr/share/bug/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--customize-hook=chroot "$1" python3 -m venv --system-site-packages /usr/local',
        '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/etc/apt/sources.list.d/*',
        "--customize-hook=copy-in /s/sources.list /etc/apt/",
        '--customize-hook=rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/tmp/*',
        '--customize-hook=rm -f "$1"/etc/hostname; : >"$1"/etc/resolv.conf; : >"$1"/etc/machine-id',
        '--customize-hook=find "$1"/var/lib/apt/lists -type f -delete',
        "bookworm",
        "/s/base.tar",
        "/s/build.list",
    )
