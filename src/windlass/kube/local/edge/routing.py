"""From Services, EndpointSlices and Ingresses to what the edge shall be. Pure; refuses what is not safe to write."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from windlass.kube.local.controllers.meta import annotations_of, deleting, labels_of, name_of, namespace_of
from windlass.kube.local.edge.model import Backend, EdgeState, Listener, Route, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.edge.allocate import Key
    from windlass.kube.local.edge.model import Mode

TCP_NAMES = {
    "tcp",
    "amqp",
    "kafka",
    "ldap",
    "mongo",
    "mongodb",
    "mysql",
    "nats",
    "postgres",
    "postgresql",
    "redis",
}
HTTP2 = {"grpc", "h2c", "kubernetes.io/h2c"}
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
PATH = re.compile(r"/[A-Za-z0-9/_.~%+:@,=-]*")
REPLAY = "windlass.dev/replay"
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the cluster says. `servers` maps (namespace, pod, pod port) to where the edge reaches it."""

    services: Sequence[Object]
    slices: Sequence[Object]
    ingresses: Sequence[Object]
    servers: Mapping[tuple[str, str, int], tuple[str, int]]
    ports: Mapping[Key, int]
    gateways: Mapping[str, str] = field(default_factory=dict)
    leaving: frozenset[tuple[str, str]] = frozenset()
    address: str = "127.0.0.1"
    ingress_port: int = 8702


def backend_name(namespace: str, service: str, port: int) -> str:
    """Names hold no underscore, so this is unambiguous."""
    return f"{namespace}_{service}_{port}"


def _kind(port: Object) -> str:
    return str(port.get("appProtocol") or port.get("name") or "").lower()


def mode_of(port: Object) -> Mode:
    """Tcp where `appProtocol` or the port's name says so, else http."""
    kind = _kind(port)
    return "tcp" if kind in TCP_NAMES or kind.split("-")[0] in TCP_NAMES else "http"


def tcp_ports(service: Object) -> list[Object]:
    """Return the Service's TCP ports; the first one is its public address."""
    return [port for port in service["spec"].get("ports") or () if port.get("protocol", "TCP") == "TCP"]


def ready_pods(slices: Iterable[Object], service: Object, port: Object) -> list[tuple[str, int]]:
    """Pods that are ready for user traffic, with their port."""
    found = []
    for item in slices:
        if labels_of(item).get(SERVICE_NAME) != name_of(service) or namespace_of(item) != namespace_of(
            service
        ):
            continue
        number = next(
            (p["port"] for p in item.get("ports") or () if p.get("name", "") == port.get("name", "")), None
        )
        for endpoint in item.get("endpoints") or ():
            reference = endpoint.get("targetRef") or {}
            if number and reference.get("kind") == "Pod" and (endpoint.get("conditions") or {}).get("ready"):
                found.append((str(reference["name"]), int(number)))
    return found


def state(situation: Situation) -> tuple[EdgeState, list[tuple[Object, str]]]:
    """Return the edge's desired state, and for each Ingress rule that is refused the reason."""
    services = sorted(
        (s for s in situation.services if s["spec"].get("selector") and not deleting(s)),
        key=lambda s: (namespace_of(s), name_of(s)),
    )
    backends = tuple(_backend(situation, s, port) for s in services for port in tcp_ports(s))
    known = {backend.name for backend in backends}
    listeners = [_public(situation, service) for service in services if _key(service) in situation.ports]
    ingress, refused = _ingress(situation, services, known)
    listeners.append(ingress)
    for namespace, gateway in sorted(situation.gateways.items()):
        listeners += _inside(namespace, gateway, services)
    return EdgeState(tuple(listeners), backends), refused


def _key(service: Object) -> Key:
    return namespace_of(service), name_of(service)


def _backend(situation: Situation, service: Object, port: Object) -> Backend:
    namespace = namespace_of(service)
    servers = []
    for pod, number in ready_pods(situation.slices, service, port):
        place = situation.servers.get((namespace, pod, number))
        if place is not None and (namespace, pod) not in situation.leaving:
            servers.append(Server(pod, *place))
    return Backend(
        backend_name(namespace, name_of(service), port["port"]),
        f"{namespace}/{name_of(service)}",
        mode_of(port),
        tuple(sorted(set(servers))),
        replay=annotations_of(service).get(REPLAY) != "never",
        http2=_kind(port) in HTTP2 or _kind(port).startswith("grpc-"),
    )


def _public(situation: Situation, service: Object) -> Listener:
    namespace, name = _key(service)
    port = tcp_ports(service)[0]
    return Listener(
        f"public_{namespace}_{name}",
        f"{situation.address}:{situation.ports[namespace, name]}",
        mode_of(port),
        default=backend_name(namespace, name, port["port"]),
        traced=True,
    )


def _ingress(
    situation: Situation, services: Sequence[Object], known: set[str]
) -> tuple[Listener, list[tuple[Object, str]]]:
    ports = {
        (*_key(s), p.get("name", "")): p["port"] for s in services for p in tcp_ports(s) if p.get("name")
    }
    routes: list[Route] = []
    refused: list[tuple[Object, str]] = []

    def add(ingress: Object, host: str, path: str, kind: str, target: Object) -> None:
        service = target.get("service") or {}
        wanted = service.get("port") or {}
        namespace, name = namespace_of(ingress), service.get("name", "")
        number = wanted.get("number") or ports.get((namespace, name, wanted.get("name", "")))
        backend = backend_name(namespace, name, number or 0)
        if host and not HOST.fullmatch(host):
            refused.append((ingress, f"host {host!r} is not a DNS name, or *. and one"))
        elif path and not PATH.fullmatch(path):
            refused.append((ingress, f"path {path!r} holds characters that the edge does not take"))
        elif backend not in known:
            refused.append((ingress, f"Service {namespace}/{name} has no such port: {wanted}"))
        else:
            routes.append(Route(backend, (host,) if host else (), path, exact=kind == "Exact"))

    for ingress in sorted(situation.ingresses, key=_key):
        spec = ingress.get("spec") or {}
        for rule in spec.get("rules") or ():
            for entry in (rule.get("http") or {}).get("paths") or ():
                kind = entry.get("pathType", "ImplementationSpecific")
                add(
                    ingress, (rule.get("host") or "").lower(), entry.get("path") or "", kind, entry["backend"]
                )
        if spec.get("defaultBackend"):
            add(ingress, "", "", "Prefix", spec["defaultBackend"])
    listener = Listener(
        "ingress",
        f"{situation.address}:{situation.ingress_port}",
        routes=tuple(sorted(routes, key=_precedence)),
        otherwise="windlass: no Ingress has a rule for this host and path",
        traced=True,
    )
    return listener, refused


def rules_of(ingress: Object) -> int:
    """Return how many rules an Ingress has: its paths, and its default."""
    spec = ingress.get("spec") or {}
    paths = sum(len((rule.get("http") or {}).get("paths") or ()) for rule in spec.get("rules") or ())
    return paths + bool(spec.get("defaultBackend"))


def _precedence(route: Route) -> tuple[bool, bool, int, int, bool]:
    """Exact host, then the longest wildcard, then any; the longest path, exact before prefix."""
    host = route.hosts[0] if route.hosts else ""
    return not host, host.startswith("*."), -len(host), -len(route.path), not route.exact


def _names(service: Object, namespace: str) -> tuple[str, ...]:
    own, name = namespace_of(service), name_of(service)
    full = (f"{name}.{own}", f"{name}.{own}.svc", f"{name}.{own}.svc.cluster.local")
    return (name, *full) if own == namespace else full


def service_names(services: Iterable[Object], namespace: str) -> list[str]:
    """Return all names under which pods of a namespace reach Services."""
    return [name for service in services for name in _names(service, namespace)]


def _inside(namespace: str, gateway: str, services: Sequence[Object]) -> list[Listener]:
    """One listener for each Service port at the gateway of the namespace's network.

    By Host header; as plain TCP where one Service of the namespace alone has the port and says tcp.
    """
    by_port: dict[int, list[tuple[Object, Object]]] = defaultdict(list)
    for service in services:
        for port in tcp_ports(service):
            by_port[port["port"]].append((service, port))
    listeners = []
    for number, members in sorted(by_port.items()):
        own = [(s, p) for s, p in members if namespace_of(s) == namespace]
        name, bind = f"inside_{namespace}_{number}", f"{gateway}:{number}"
        if len(own) == 1 and mode_of(own[0][1]) == "tcp":
            backend = backend_name(namespace, name_of(own[0][0]), number)
            listeners.append(Listener(name, bind, "tcp", default=backend, foreign=True))
            continue
        routes = tuple(
            Route(backend_name(*_key(s), number), _names(s, namespace))
            for s, p in members
            if mode_of(p) == "http"
        )
        if routes:
            text = f"windlass: no Service of this name has port {number}"
            listeners.append(Listener(name, bind, routes=routes, otherwise=text, foreign=True))
    return listeners
