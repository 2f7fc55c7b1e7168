from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.identity import Principal
from windlass.repos import BadNameError, commands, forge_url, hosted_name, repository_name, windlass_clone_url
from windlass.repos.cgi import HIDDEN, RefusedError, cgi_environment, parse_call, parse_head, serving_config
from windlass.repos.hooks import parse_report, terminal_line
from windlass.repos.importing import check_source, default_branch, fetch_environment
from windlass.repos.names import branch_ref, inside, revision, tree_path
from windlass.repos.process import environment
from windlass.repos.sessions import follows

REPO = Path("/data/repos/acme/x.git")
SHA = "a" * 40
ANNA = Principal("user", "anna", ("repo:write:*",))


@pytest.mark.parametrize(
    "name", ["acme/x", "acme/.github", "a/b", "acme-co/agent_task.service-2", "a/" + "b" * 100]
)
def test_names(name: str) -> None:
    assert repository_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "acme",
            "acme/",
            "/x",
            "acme/x/y",
            "acme/..",
            "acme/.",
            "../x",
            "-acme/x",
            "acme-/x",
            "acme/-x",
        ),
        *("acme/x.git", "acme/x.GIT", "acme/x.lock", "a_b/x", "acme/x y", "acme/x\n", "acme\\x/y", "acme/é"),
        *("runs/x", "Commits/x", "deliveries/x", "applications/x"),
        *("api/x", "V2/x", "a/" + "b" * 101, "a" * 40 + "/x", "acme/x\0", "acme/%2e%2e"),
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(BadNameError):
        repository_name(name)


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_name_is_never_a_way_out(owner: str, short: str) -> None:
    try:
        name = repository_name(f"{owner}/{short}")
    except BadNameError:
        return
    path = (Path("/root") / f"{name}.git").resolve()
    assert path.parent.parent == Path("/root")
    assert not path.name.startswith("-")


@given(st.text(max_size=20))
def test_revisions_and_refs_are_never_options_or_expressions(text: str) -> None:
    try:
        checked = revision(text)
    except BadNameError:
        return
    assert not checked.startswith("-")
    assert not set(checked) & set(" ~^:?*[\\\n\0")
    assert ".." not in checked


@given(st.text(max_size=30))
def test_paths_in_trees_stay_in_them(text: str) -> None:
    try:
        checked = tree_path(text)
    except BadNameError:
        return
    assert not checked.startswith("/")
    assert ".." not in checked.split("/")
    assert tree_path(checked) == checked


def test_branches_and_folders() -> None:
    assert branch_ref("main") == branch_ref("refs/heads/main") == "refs/heads/main"
    assert inside("app/x/y", ["app"])
    assert inside("app", ["app"])
    assert inside("anything", [""])
    assert not inside("apple/x", ["app"])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/x", "acme/x"),
        ("https://github.com/acme/x.git", "acme/x"),
        ("https://GitHub.com/acme/x/", "acme/x"),
        ("https://user:token@github.com/acme/x", "acme/x"),
        ("git@github.com:acme/x.git", "acme/x"),
        ("ssh://git@github.com/acme/x.git", "acme/x"),
        ("http://127.0.0.1:8700/acme/x.git", "acme/x"),
        ("https://gitlab.com/acme/x", None),
        ("https://github.com.evil.example/acme/x", None),
        ("https://github.com/acme/x/y", None),
        ("https://github.com/acme", None),
        ("ext::sh -c id", None),
        ("file:///github.com/acme/x", None),
        ("", None),
    ],
)
def test_addresses_of_forges(url: str, name: str | None) -> None:
    assert hosted_name(url, ["github.com", "127.0.0.1:8700"]) == name


def test_our_own_addresses() -> None:
    assert windlass_clone_url("http://127.0.0.1:8700/", "acme/x") == "http://127.0.0.1:8700/acme/x.git"
    assert forge_url("acme/x", "github.com") == "https://github.com/acme/x"


@given(st.text(max_size=60))
def test_any_address_is_mapped_or_not(url: str) -> None:
    hosted_name(url, ["github.com"])


def test_argument_vectors() -> None:
    assert commands.tree(REPO, SHA, "app", recursive=True) == [
        *["git", "--git-dir=/data/repos/acme/x.git", "ls-tree", "-z", "-l", "--full-tree", "-r", SHA],
        *["--", "app/"],
    ]
    assert commands.log(REPO, SHA, 5, ["app"])[-2:] == ["--", "app"]
    assert commands.update_ref(REPO, "refs/heads/main", SHA, "b" * 40)[2:] == [
        *["update-ref", "--create-reflog", "-m", "windlass", "refs/heads/main", SHA, "b" * 40]
    ]
    assert commands.fetch_all(REPO, "https://example.org/x")[-4:] == [
        *["--", "https://example.org/x", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
    ]
    assert commands.init(REPO, "main") == [
        *["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(REPO)]
    ]


def test_git_sees_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.fsmonitor=id'")
    monkeypatch.setenv("LD_PRELOAD", "/x.so")
    env = environment()
    assert not {"GIT_DIR", "GIT_CONFIG_PARAMETERS", "LD_PRELOAD"} & env.keys()
    assert env["GIT_CONFIG_GLOBAL"] == "/dev/null"


def test_the_cgi_environment_holds_nothing_of_the_client_unchecked() -> None:
    headers = {
        b"content-type": b"application/x-git-receive-pack-request",
        b"content-length": b"12",
        b"content-encoding": b"gzip",
        b"git-protocol": b"version=2; rm -rf /",
        b"x-forwarded-for": b"evil",
    }
    call = parse_call("POST", "/acme/x.git/git-receive-pack", b"evil=1", headers)
    config = serving_config(Path("/data/repos/.hooks"), 1000)
    env = cgi_environment(call, Path("/data/repos"), ANNA, session="S", hooks=Path("/run/h"), config=config)
    base = environment()
    added = {k: v for k, v in env.items() if k not in base and not k.startswith("GIT_CONFIG_")}
    assert added == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "GIT_PROJECT_ROOT": "/data/repos",
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": "/acme/x.git/git-receive-pack",
        "QUERY_STRING": "",
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/x-git-receive-pack-request",
        "HTTP_CONTENT_ENCODING": "gzip",
        "REMOTE_USER": "user:anna",
        "REMOTE_ADDR": "-",
        "WINDLASS_SESSION": "S",
        "WINDLASS_HOOKS": "/run/h",
        "WINDLASS_RULES": "",
        "GIT_COMMITTER_NAME": "user:anna",
        "GIT_COMMITTER_EMAIL": "S@push.windlass",
    }
    values = [env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))]
    assert values[-len(HIDDEN) - 1 :] == [*HIDDEN, "!refs/pull/"]
    keys = [env[f"GIT_CONFIG_KEY_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))]
    assert keys[-2:] == ["transfer.hideRefs", "uploadpack.hideRefs"]


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "status"),
    [
        ("POST", "/acme/x.git/info/refs", b"service=git-upload-pack", {}, 405),
        ("GET", "/acme/x.git/git-upload-pack", b"", {}, 405),
        ("POST", "/acme/x.git/git-upload-pack", b"", {}, 415),
        (
            "POST",
            "/acme/x.git/git-upload-pack",
            b"",
            {b"content-type": b"application/x-git-receive-pack-request"},
            415,
        ),
        ("GET", "/acme/x.git/info/refs", b"", {}, 403),
        ("GET", "/acme/x.git/objects/aa/bb", b"", {}, 404),
        ("GET", "//x.git/info/refs", b"service=git-upload-pack", {}, 404),
    ],
)
def test_what_is_refused(
    method: str, path: str, query: bytes, headers: dict[bytes, bytes], status: int
) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_call(method, path, query, headers)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [(b"content-encoding", b"br", 415), (b"content-length", b"1 2", 400), (b"content-length", b"-1", 400)],
)
def test_bodies_that_are_refused(header: bytes, value: bytes, status: int) -> None:
    headers = {b"content-type": b"application/x-git-upload-pack-request", header: value}
    with pytest.raises(RefusedError) as caught:
        parse_call("POST", "/acme/x/git-upload-pack", b"", headers)
    assert caught.value.status == status


def test_only_known_headers_of_git_are_passed_on() -> None:
    status, headers = parse_head(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\n")
    assert (status, headers) == (404, [(b"content-type", b"text/plain")])


def test_reports_of_the_hook() -> None:
    lines = f"{'0' * 40} {SHA} refs/heads/main\n{SHA} {SHA} refs/heads/same\n".encode()
    report = parse_report(b"S\0/data/x.git\x002\0follow=no\0two\nlines\0" + lines)
    assert (report.session, report.folder, report.options) == ("S", "/data/x.git", ("follow=no",))
    assert report.updates == (("0" * 40, SHA, "refs/heads/main"),)


@pytest.mark.parametrize("data", [b"", b"S\0x\x00nan\0", b"S\0x\x003\0a\0", b"S\0x\x000\0bad line\n"])
def test_malformed_reports(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_report(data)


@given(st.binary(max_size=200))
def test_any_report_is_read_or_refused(data: bytes) -> None:
    try:
        report = parse_report(b"S\0x\0" + data)
    except ValueError:
        return
    assert all("\n" not in option and "\0" not in option for option in report.options)


@given(st.text())
def test_what_goes_to_a_terminal_is_one_line_of_text(text: str) -> None:
    line = terminal_line(text)
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line
    assert b"\r" not in line


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("user", [], True),
        ("user", ["follow=no"], False),
        ("user", ["windlass.follow=no"], False),
        ("user", ["follow=no", "follow=yes"], True),
        ("user", ["followed=no"], True),
        ("job", ["follow=yes"], False),
        ("robot", [], False),
    ],
)
def test_who_waits(kind: str, options: list[str], expected: bool) -> None:
    assert follows(kind, options, default=True) is expected


def test_credentials_of_an_import_are_not_arguments() -> None:
    url, found = check_source("https://anna:s%40cret@example.org:8443/acme/x.git?a=b#c")
    assert (url, found) == ("https://example.org:8443/acme/x.git", ("anna", "s@cret"))
    env = fetch_environment(url, found)
    assert "http.https://example.org:8443/.extraHeader" in env.values()
    assert "s@cret" not in json.dumps([commands.head_of(url), commands.fetch_all(REPO, url)])


def test_the_default_branch_of_an_import() -> None:
    refs = {"refs/heads/dev": SHA, "refs/heads/master": SHA}
    assert default_branch("dev", refs) == "dev"
    assert default_branch("gone", refs) == "master"
    assert default_branch(None, {"refs/heads/x": SHA}) == "x"
    assert default_branch(None, {}) == "main"
