from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.kube.local.edge.allocate import allocate
from windlass.kube.local.edge.config import Files, render, structure
from windlass.kube.local.edge.haproxy import Haproxy, check_argv, socket_directory, start_argv
from windlass.kube.local.edge.reconcile import plan
from windlass.kube.local.edge.routing import Situation, state
from windlass.kube.local.edge.runtime import RunningServer, parse_servers, parse_stat

if TYPE_CHECKING:
    from windlass.kube.local.edge.model import EdgeState

Object = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden"
FILES = Files("/run/edge/haproxy.sock", "0123456789abcdef")


def service(name: str, namespace: str = "acme", *ports: Object, **meta: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **meta,
        },
        "spec": {"selector": {"app": name}, "ports": list(ports) or [{"name": "http", "port": 80}]},
    }


def slices(name: str, namespace: str, port: int, *pods: str, label: str = "http") -> Object:
    endpoints = [{"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": pod}} for pod in pods]
    waiting = {"conditions": {"ready": False}, "targetRef": {"kind": "Pod", "name": "not-ready"}}
    return {
        "metadata": {
            "name": f"{name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [*endpoints, waiting],
        "ports": [{"name": label, "port": port}],
    }


def ingress(*rules: Object) -> Object:
    return {"metadata": {"name": "shop", "namespace": "acme"}, "spec": {"rules": list(rules)}}


def rule(host: str, path: str, name: str, kind: str = "Prefix") -> Object:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    return {"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}


def situation(**changes: Any) -> Situation:
    fields: dict[str, Any] = {
        "services": [
            service("web"),
            service("db", "acme", {"name": "postgres", "port": 5432}),
            service("model", "acme", {"name": "grpc", "port": 9000}),
            service("web", "other"),
        ],
        "slices": [
            slices("web", "acme", 8080, "web-a", "web-b"),
            slices("db", "acme", 5432, "db-0", label="postgres"),
            slices("web", "other", 8080, "web-x"),
        ],
        "ingresses": [
            ingress(rule("shop.example", "/", "web"), rule("*.shop.example", "/api", "web", "Exact"))
        ],
        "servers": {
            ("acme", "web-a", 8080): ("127.0.0.1", 40001),
            ("acme", "web-b", 8080): ("127.0.0.1", 40002),
            ("acme", "db-0", 5432): ("127.0.0.1", 40003),
            ("other", "web-x", 8080): ("127.0.0.1", 40004),
        },
        "ports": {("acme", "web"): 8711, ("acme", "db"): 8712, ("other", "web"): 8713},
        "gateways": {"acme": "10.89.0.1"},
    }
    return Situation(**{**fields, **changes})


def test_the_configuration_is_the_golden_file() -> None:
    desired, refused = state(situation())
    assert not refused
    text = render(desired, FILES)
    file = GOLDEN / "haproxy.cfg"
    if os.environ.get("WINDLASS_WRITE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.integration
def test_haproxy_takes_it(tmp_path: Path) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    desired, _ = state(situation())
    file = tmp_path / "haproxy.cfg"
    file.write_text(render(desired, Files(str(tmp_path / "s"), "x")))
    done = subprocess.run(check_argv("haproxy", file), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_servers_are_no_reason_to_reload_and_all_else_is() -> None:
    base = structure(state(situation())[0], FILES)
    assert structure(state(situation(slices=[]))[0], FILES) == base
    assert structure(state(situation(gateways={}))[0], FILES) != base
    assert structure(state(situation(ingresses=[]))[0], FILES) != base
    assert structure(state(situation())[0], Files(FILES.socket, "other")) != base


@pytest.mark.parametrize(
    ("host", "path", "word"),
    [
        ("a.example\n    bind *:1", "/", "host"),
        ("a b", "/", "host"),
        ("a.example", "/x y", "path"),
        ("a.example", "/x\n", "path"),
        ("a.example", '/"', "path"),
        ("a.example", "/x#y", "path"),
        ("a.example", "/{x}", "path"),
    ],
)
def test_what_would_change_the_configuration_is_refused(host: str, path: str, word: str) -> None:
    desired, refused = state(situation(ingresses=[ingress(rule(host, path, "web"))]))
    (reason,) = [text for _, text in refused]
    assert word in reason
    assert not next(item for item in desired.listeners if item.name == "ingress").routes


@given(st.text(), st.text())
def test_no_ingress_breaks_out_of_its_line(host: str, path: str) -> None:
    desired, _ = state(situation(ingresses=[ingress(rule(host, path, "web"))]))
    plain, _ = state(situation(ingresses=[ingress(rule("safe.example", "/safe", "web"))]))
    words = {line.split()[0] for line in render(desired, FILES).splitlines() if line.strip()}
    assert words <= {line.split()[0] for line in render(plain, FILES).splitlines() if line.strip()}


def test_a_leaving_pod_and_one_that_is_not_ready_are_no_servers() -> None:
    desired, _ = state(situation(leaving=frozenset({("acme", "web-a")})))
    backend = next(item for item in desired.backends if item.name == "acme_web_80")
    assert [server.pod for server in backend.servers] == ["web-b"]


# -- ports


def address(port: int) -> Object:
    return {"annotations": {"windlass.dev/address": f"http://127.0.0.1:{port}"}}


def test_ports_are_kept_and_never_given_twice() -> None:
    services = [
        service("old", "a", **address(8712)),
        service("copy", "a", **{**address(8712), "creationTimestamp": "2026-02-01T00:00:00Z"}),
        service("odd", "a", **address(99)),
        service("new", "a"),
        {
            **service("headless", "a"),
            "spec": {"selector": {"a": "b"}, "clusterIP": "None", "ports": [{"port": 80}]},
        },
    ]
    given_ports, left = allocate(services, range(8710, 8720), lambda port: port != 8715)
    assert given_ports["a", "old"] == 8712
    assert len(set(given_ports.values())) == 4
    assert ("a", "headless") not in given_ports
    assert 8715 not in given_ports.values()
    assert not left


def test_a_full_range_says_who_got_none() -> None:
    given_ports, left = allocate([service("a", "x"), service("b", "x")], range(8710, 8711), lambda _: True)
    assert len(given_ports) == len(left) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=30))
def test_a_living_service_never_changes_its_port(changes: list[tuple[str, bool]]) -> None:
    living: dict[str, Object] = {}
    ports: dict[str, int] = {}
    for name, there in changes:
        if there:
            living.setdefault(name, service(name, "x"))
        else:
            living.pop(name, None)
            ports.pop(name, None)
        result, left = allocate(list(living.values()), range(100, 120), lambda _: True)
        assert not left
        assert len(set(result.values())) == len(living)
        for key, port in ((key[1], port) for key, port in result.items()):
            assert ports.setdefault(key, port) == port
            living[key]["metadata"] |= address(port)


# -- reconcile


def desired_of(*pods: str) -> EdgeState:
    return state(situation(slices=[slices("web", "acme", 8080, *pods)]))[0]


def test_the_plan_adds_before_it_drains() -> None:
    running = [RunningServer("acme_web_80", "web-a_40001", 0)]
    steps = plan(desired_of("web-b"), running, {}, {})
    assert steps.switch == (
        "add server acme_web_80/web-b_40002 127.0.0.1:40002 weight 100 pool-max-conn -1 pool-purge-delay 5s",
        "enable server acme_web_80/web-b_40002",
        "set server acme_web_80/web-a_40001 state drain",
    )
    assert not steps.removal


def test_the_plan_removes_what_has_drained_or_waited_long_enough() -> None:
    key = ("acme_web_80", "web-a_40001")
    draining = [RunningServer(*key, 8)]
    assert plan(desired_of(), draining, {key: 1}, {key: 3}).removal == ()
    assert plan(desired_of(), draining, {key: 0}, {key: 0}).removal == (key,)
    assert plan(desired_of(), draining, {key: 1}, {key: 31}).removal == (key,)
    assert plan(desired_of(), [RunningServer(*key, 1)], {key: 1}, {}).removal == (key,)


def test_a_draining_server_that_is_wanted_again_is_taken_back() -> None:
    steps = plan(desired_of("web-a"), [RunningServer("acme_web_80", "web-a_40001", 8)], {}, {})
    assert steps.switch == ("set server acme_web_80/web-a_40001 state ready",)
    assert not plan(desired_of("web-a"), [RunningServer("acme_web_80", "web-a_40001", 0)], {}, {}).switch


def test_answers_of_haproxy_are_read() -> None:
    text = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n4 b 1 p_1 127.0.0.1 2 9\n\n"
    (server,) = parse_servers(text)
    assert (server.backend, server.name, server.draining, server.stopped) == ("b", "p_1", True, True)
    assert parse_stat("# pxname,svname,scur\nb,p_1,3\n\n") == [{"pxname": "b", "svname": "p_1", "scur": "3"}]


def test_argument_vectors(tmp_path: Path) -> None:
    assert start_argv("haproxy", Path("/e/c"), Path("/e/p"), Path("/e/m")) == [
        "haproxy", "-W", "-D", "-f", "/e/c", "-p", "/e/p", "-S", "/e/m,mode,600",
    ]  # fmt: skip
    assert socket_directory(Path("/short")) == Path("/short")
    assert len(str(socket_directory(Path("/" + "x" * 100)))) < 80


async def test_a_path_for_sockets_elsewhere_goes_with_the_edge(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 100)
    haproxy = Haproxy(directory)
    haproxy.prepare()
    assert haproxy.socket.parent.is_dir()
    await haproxy.stop()
    assert not haproxy.socket.parent.exists()
    assert directory.is_dir()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
async def test_one_that_has_not_noted_its_pid_is_ended_too(tmp_path: Path) -> None:
    haproxy = Haproxy(tmp_path / "edge")
    haproxy.prepare()
    haproxy.write(
        f"global\n    stats socket {haproxy.socket} mode 600 level admin\ndefaults\n    timeout client 1s\n"
    )
    pid = await haproxy.start()
    (tmp_path / "edge" / "haproxy.pid").unlink()
    other = Haproxy(tmp_path / "edge")
    assert other.pid() is None
    await other.stop()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"
