from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.engine import Container, ImageInfo
from windlass.kube.local.node import hosts
from windlass.kube.local.node.decide import Kill, Prune, Start, backoff, decide
from windlass.kube.local.node.environment import Sources, environment, expand
from windlass.kube.local.node.errors import ContainerConfigError, MountError
from windlass.kube.local.node.files import File, files
from windlass.kube.local.node.images import mirrored, parse, repository
from windlass.kube.local.node.names import ATTEMPT, CONTAINER, CRASHES, JOINED, by_container
from windlass.kube.local.node.pod_status import View, pod_status
from windlass.kube.local.node.probes import begin
from windlass.kube.local.node.quantities import quantity
from windlass.kube.local.node.spec import Surroundings, engine_spec
from windlass.kube.local.node.volumes import VolumeRules, Volumes, write

Object = dict[str, Any]
NOW = 1_800_000_000.0


def pod(*containers: Object, **spec: Any) -> Object:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "acme",
            "uid": "0123456789abcdef",
            "labels": {"app": "web"},
        },
        "spec": {"containers": list(containers) or [{"name": "app", "image": "x"}], **spec},
    }


def container(name: str = "app", state: Any = "running", attempt: int = 0, **fields: Any) -> Container:
    labels = {CONTAINER: name, ATTEMPT: str(attempt), CRASHES: str(fields.pop("crashes", attempt))}
    labels[JOINED] = fields.pop("joined", "")
    values: dict[str, Any] = {
        "id": f"{name}-{attempt}", "name": name, "state": state, "image": "x", "image_digest": "sha256:d",
        "exit_code": 1 if state == "exited" else None, "started_at": NOW - 20,
        "finished_at": NOW - 1 if state == "exited" else 0.0,
        "created_at": NOW - 20, "labels": labels, "ports": {}, "addresses": {"n": "10.0.0.5"},
    }  # fmt: skip
    return Container(**{**values, **fields})


def sources(target: Object | None = None) -> Sources:
    maps = {
        "conf": {"data": {"a": "1", "b.txt": "2"}, "binaryData": {"raw": base64.b64encode(b"\xff").decode()}}
    }
    secrets = {"key": {"data": {"token": base64.b64encode(b"s3cret").decode()}}}
    return Sources(target or pod(), maps.get, secrets.get, pod_ip="10.0.0.5", capacity={"memory": 1 << 30})


# -- environment


def test_expansion_follows_kubernetes() -> None:
    assert expand("$(A)-$$(A)-$(B)-$A-$", {"A": "1"}) == "1-$(A)-$(B)-$A-$"


@given(st.text(alphabet="$()ABx", max_size=20))
def test_expansion_never_fails_and_leaves_plain_text(text: str) -> None:
    result = expand(text, {"A": "1"})
    if "$" not in text:
        assert result == text


def test_environment_of_all_kinds() -> None:
    spec = {
        "name": "app",
        "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        "envFrom": [
            {"configMapRef": {"name": "conf"}, "prefix": "C_"},
            {"secretRef": {"name": "no", "optional": True}},
        ],
        "env": [
            {"name": "T", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {
                "name": "MEM",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
            },
            {"name": "URL", "value": "http://$(C_a)/$(LATER)"},
            {
                "name": "OPT",
                "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "zzz", "optional": True}},
            },
        ],
    }
    with pytest.raises(ContainerConfigError, match="'raw' is not text"):
        environment(spec, sources())
    source = sources()
    plain = Sources(
        source.pod, {"conf": {"data": {"a": "1", "b.txt": "2"}}}.get, source.secret, pod_ip="10.0.0.5"
    )
    assert environment(spec, plain) == {
        "C_a": "1", "C_b.txt": "2", "T": "s3cret", "N": "web", "IP": "10.0.0.5", "CPU": "1", "MEM": "64",
        "URL": "http://1/$(LATER)",
    }  # fmt: skip


def test_a_missing_key_is_named() -> None:
    env = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "key", "key": "nope"}}}]
    with pytest.raises(ContainerConfigError, match="couldn't find key nope in secret key"):
        environment({"name": "app", "env": env}, sources())


@pytest.mark.parametrize(
    ("text", "value"),
    [("250m", "0.25"), ("64Mi", "67108864"), ("1e3", "1000"), ("2", "2"), ("1.5Gi", "1610612736")],
)
def test_quantities(text: str, value: str) -> None:
    assert str(quantity(text).normalize()) == str(quantity(value).normalize())


# -- files


def test_files_of_volumes() -> None:
    volume = {
        "name": "v",
        "configMap": {"name": "conf", "items": [{"key": "a", "path": "sub/x", "mode": 0o400}]},
    }
    assert files(volume, sources()) == {"sub/x": File(b"1", 0o400)}
    assert files({"secret": {"secretName": "key"}}, sources()) == {"token": File(b"s3cret", 0o644)}
    down = {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}
    assert files(down, sources()) == {"n": File(b"web-1", 0o644)}
    both = {"projected": {"sources": [{"configMap": {"name": "conf"}}, {"secret": {"name": "key"}}]}}
    assert set(files(both, sources())) == {"a", "b.txt", "raw", "token"}
    with pytest.raises(MountError, match='secret "no" not found'):
        files({"secret": {"secretName": "no"}}, sources())


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..data", ""])
def test_paths_do_not_leave_their_volume(path: str) -> None:
    with pytest.raises(MountError, match="leaves its volume"):
        files({"configMap": {"name": "conf", "items": [{"key": "a", "path": path}]}}, sources())


def test_projected_files_change_in_one_step(tmp_path: Path) -> None:
    assert write(tmp_path / "v", {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    opened = (tmp_path / "v" / "a").open("rb")
    assert not write(tmp_path / "v", {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert write(tmp_path / "v", {"a": File(b"3", 0o644)})
    assert opened.read() == b"1"
    assert (tmp_path / "v" / "a").read_bytes() == b"3"
    assert not (tmp_path / "v" / "d").exists()
    assert len([p for p in (tmp_path / "v").iterdir() if p.name.startswith("..") and not p.is_symlink()]) == 1
    opened.close()


def test_sub_paths_do_not_leave_their_volume(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path, VolumeRules())
    target = pod(volumes=[{"name": "v", "emptyDir": {}}])
    volumes.prepare(target, sources())
    (tmp_path / "v" / "out").symlink_to("/etc")
    with pytest.raises(MountError, match="leaves its volume"):
        volumes.mounts(target, {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "out"}]})


def test_the_hosts_file_keeps_its_inode(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    text = hosts.content(
        ("10.0.0.5", "web-1"), "10.0.0.1", ["web", "db.acme.svc"], [{"ip": "1.2.3.4", "hostnames": ["x"]}]
    )
    hosts.rewrite(file, text)
    inode = file.stat().st_ino
    assert hosts.rewrite(file, "short\n")
    assert not hosts.rewrite(file, "short\n")
    assert file.read_text() == "short\n"
    assert file.stat().st_ino == inode
    assert text.splitlines()[3:] == ["10.0.0.5 web-1", "1.2.3.4 x", "10.0.0.1 db.acme.svc", "10.0.0.1 web"]


# -- images


@pytest.mark.parametrize(
    ("image", "mirror"),
    [
        ("ghcr.io/acme/x@sha256:0", "127.0.0.1:8700/acme/x@sha256:0"),
        ("python:3.11", "127.0.0.1:5000/library/python:3.11"),
        ("acme/x", "127.0.0.1:5000/acme/x"),
        ("localhost/x:1", "localhost/x:1"),
        ("quay.io/a/b:1", "quay.io/a/b:1"),
    ],
)
def test_mirrors(image: str, mirror: str) -> None:
    assert mirrored(image, {"ghcr.io": "127.0.0.1:8700", "docker.io": "127.0.0.1:5000"}) == mirror


def test_names_of_images() -> None:
    assert parse("localhost:5000/a/b") == ("localhost:5000", "a/b")
    assert repository("ghcr.io:80/a/b:1@sha256:0") == "ghcr.io:80/a/b"


# -- the engine's specification


def around(**fields: Any) -> Surroundings:
    info = ImageInfo(
        "sha256:i", "sha256:d", (), {}, (), (), fields.pop("user", ""), "", (), {}, 1, 0.0, "amd64"
    )
    base: dict[str, Any] = {
        "instance": "i",
        "image": "img",
        "info": info,
        "env": {"A": "1"},
        "mounts": (),
        "network": "n",
        "hosts_file": "/h",
    }
    return Surroundings(**{**base, **fields})


def test_the_specification_of_a_container() -> None:
    spec = {
        "name": "app", "image": "x", "command": ["run", "$(A)"], "args": ["--x"], "workingDir": "/w",
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        "securityContext": {"runAsUser": 7, "runAsGroup": 8, "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                            "readOnlyRootFilesystem": True},
    }  # fmt: skip
    made = engine_spec(pod(spec), spec, around(ports=(8080,), attempt=2, crashes=1))
    assert made.name == "wl-i-web-1-app-0123456789abc-2"
    assert (made.entrypoint, made.command) == (("run", "1"), ("--x",))
    assert (made.memory, made.cpus, made.user) == (64 << 20, 0.5, "7:8")
    assert (made.cap_drop, made.cap_add) == (("ALL",), ("NET_BIND_SERVICE",))
    assert made.no_new_privileges
    assert made.read_only
    assert [port.container for port in made.ports] == [8080]
    assert all(port.address == "127.0.0.1" for port in made.ports)
    assert made.labels[CRASHES] == "1"
    joined = engine_spec(pod(spec), spec, around(ports=(8080,), joined="abc"))
    assert (joined.network, joined.ports, joined.hostname) == ("container:abc", (), "")


@pytest.mark.parametrize(
    ("user", "words"), [("", "will run as root"), ("0:0", "will run as root"), ("bob", "non-numeric user")]
)
def test_run_as_non_root(user: str, words: str) -> None:
    spec = {"name": "app", "image": "x", "securityContext": {"runAsNonRoot": True}}
    with pytest.raises(ContainerConfigError, match=words):
        engine_spec(pod(spec), spec, around(user=user))
    assert engine_spec(pod(spec), spec, around(user="1000")).user == ""


# -- probes


def test_a_slow_starter_is_ready_soon_after_it_listens_and_failures_follow_the_period() -> None:
    state = begin({"periodSeconds": 10, "failureThreshold": 3}, NOW, quick=True)
    now, asked = NOW, 0
    while now < NOW + 15:
        now = max(now, state.due)
        state = state.observe(ok=False, now=now)
        asked += 1
    assert asked > 10
    assert state.failed == 2, "two periods have begun, so two failures count"
    state = state.observe(ok=True, now=now)
    assert state.passing
    assert state.due == now + 10
    for turn in range(1, 4):
        state = state.observe(ok=False, now=now + 10 * turn)
        assert state.passing is (turn < 3)


def test_the_first_answer_is_asked_for_at_once_and_initial_delay_is_kept() -> None:
    assert begin({}, NOW, quick=True).due == NOW
    assert begin({"initialDelaySeconds": 5}, NOW, quick=True).due == NOW + 5


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 20))
def test_thresholds_mean_what_they_say(answers: list[bool], threshold: int, period: int) -> None:
    state = begin({"periodSeconds": period, "failureThreshold": threshold}, NOW, quick=True)
    now, last_good = NOW, NOW - period
    for ok in answers:
        now = max(now, state.due)
        state = state.observe(ok=ok, now=now)
        last_good = now if ok else last_good
        assert state.due > now
        assert state.due <= now + period
        if ok:
            assert state.passing
        elif state.passing is False:
            assert now - last_good >= (threshold - 1) * period * 0.99


# -- decisions


def test_a_new_pod_is_started() -> None:
    assert decide(pod(), {}, {}, NOW).actions == (Start("app", 0, 0),)


def test_a_running_pod_is_left_alone() -> None:
    assert decide(pod(), by_container([container()]), {}, NOW).actions == ()
    assert decide(pod(), by_container([container()]), {"app": "failed liveness probe"}, NOW).actions == (
        Kill("app", "app-0", "failed liveness probe"),
    )


def test_back_off_doubles_to_five_minutes_and_is_forgiven() -> None:
    waits = [backoff(container(state="exited", attempt=n)) for n in range(8)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff(container(state="exited", attempt=9, started_at=NOW - 700)) == 0
    decision = decide(pod(), by_container([container(state="exited", attempt=2)]), {}, NOW)
    assert decision.actions == ()
    assert decision.backing_off == {"app": 20.0}
    assert decision.wait == 19
    assert decide(pod(), by_container([container(state="exited", attempt=2)]), {}, NOW + 19).actions == (
        Start("app", 3, 3),
    )


def test_an_interrupted_start_is_done_again() -> None:
    found = by_container([container(state="created")])
    assert decide(pod(), found, {}, NOW).actions == (Prune("app-0"), Start("app", 0, 0))


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Always", 0, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_restart_policies(policy: str, code: int, *, again: bool) -> None:
    found = by_container([container(state="exited", exit_code=code)])
    assert bool(decide(pod(restartPolicy=policy), found, {}, NOW).actions) is again


def test_old_attempts_are_pruned_but_the_last_two() -> None:
    found = by_container([container(state="exited", attempt=n) for n in range(3)] + [container(attempt=3)])
    assert decide(pod(), found, {}, NOW).actions == (Prune("app-0"), Prune("app-1"))


def test_init_containers_run_one_after_the_other() -> None:
    target = pod(initContainers=[{"name": "i1", "image": "x"}, {"name": "i2", "image": "x"}])
    assert decide(target, {}, {}, NOW).actions == (Start("i1", 0, 0),)
    assert decide(target, by_container([container("i1")]), {}, NOW).actions == ()
    done = [container("i1", "exited", exit_code=0)]
    assert decide(target, by_container(done), {}, NOW).actions == (Start("i2", 0, 0),)
    done.append(container("i2", "exited", exit_code=0))
    decision = decide(target, by_container(done), {}, NOW)
    assert decision.actions == (Start("app", 0, 0),)
    assert decision.initialized


def test_containers_share_the_network_of_the_first() -> None:
    target = pod({"name": "a", "image": "x"}, {"name": "b", "image": "x"})
    assert decide(target, {}, {}, NOW).actions == (Start("a", 0, 0),)
    assert decide(target, by_container([container("a")]), {}, NOW).actions == (Start("b", 0, 0, "a-0"),)
    replaced = by_container([container("a", attempt=1), container("b", joined="a-0")])
    (action,) = decide(target, replaced, {}, NOW).actions
    assert isinstance(action, Kill)
    assert action.container == "b"


# -- status


def view(*containers: Container, ready: bool = True, **fields: Any) -> View:
    base: dict[str, Any] = {
        "containers": by_container(containers), "ready": {"app": ready}, "started": {"app": True}, "waiting": {},
        "backing_off": {}, "messages": {}, "initialized": True, "engine": "podman", "pod_ip": "10.0.0.5",
    }  # fmt: skip
    return View(**{**base, **fields})


def conditions(status: Object) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in status["conditions"]}


def test_ready_needs_the_gates_and_others_conditions_stay() -> None:
    target = pod(readinessGates=[{"conditionType": "windlass.dev/traffic"}])
    status = pod_status(target, view(container()), NOW)
    assert conditions(status)["ContainersReady"] == ("True", "")
    assert conditions(status)["Ready"] == ("False", "ReadinessGatesNotReady")
    target["status"] = {
        **status,
        "conditions": [*status["conditions"], {"type": "windlass.dev/traffic", "status": "True"}],
    }
    later = pod_status(target, view(container()), NOW + 60)
    assert conditions(later)["Ready"] == ("True", "")
    assert conditions(later)["windlass.dev/traffic"] == ("True", "")
    times = {c["type"]: c.get("lastTransitionTime") for c in later["conditions"]}
    before = {c["type"]: c.get("lastTransitionTime") for c in status["conditions"]}
    assert times["ContainersReady"] == before["ContainersReady"]
    assert times["Ready"] != before["Ready"]
    assert pod_status({**target, "status": later}, view(container()), NOW + 120) == later


def test_states_of_a_container() -> None:
    status = pod_status(
        pod(), view(container(state="exited", exit_code=137, oom=True), backing_off={"app": 10.0}), NOW
    )
    entry = status["containerStatuses"][0]
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert entry["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert entry["imageID"] == "x@sha256:d"
    assert not entry["ready"]
    assert status["phase"] == "Running"
    assert pod_status(pod(), view(), NOW)["phase"] == "Pending"


def test_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path / "volumes", VolumeRules())
    volumes.prepare(pod(volumes=[{"name": "k", "secret": {"secretName": "key"}}]), sources())
    assert (tmp_path / "volumes").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "volumes" / "k" / "token").read_text() == "s3cret"
