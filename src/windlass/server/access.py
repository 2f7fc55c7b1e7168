"""The server's own principals: the administrator's token, and a robot for each part that speaks over a network."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.identity import Identity
    from windlass.server.datadir import DataDirectory

ADMIN = "admin"
NODE, DELIVERY = "windlass-node", "windlass-delivery"


@dataclass(frozen=True, slots=True)
class Robots:
    """Tokens that this process made for its own parts; they are new with every start."""

    delivery: str
    node_auth_file: Path


async def ensure_admin(identity: Identity, directory: DataDirectory) -> bool:
    """Have a valid administrator's token in the data directory, and say whether it is new (a first start)."""
    try:
        kept = directory.admin_token.read_text(encoding="utf-8").strip()
    except OSError:
        kept = ""
    if kept and await identity.authenticate(kept):
        return False
    await identity.revoke(ADMIN)
    token = await identity.mint("user", ADMIN, ["admin"], label="command line on the server's machine")
    directory.write_secret(directory.admin_token, token + "\n")
    return True


async def make_robots(identity: Identity, directory: DataDirectory, registries: list[str]) -> Robots:
    """Replace the tokens of our own parts; the node's goes into an auth file as engines read it."""
    for name in (NODE, DELIVERY):
        await identity.revoke(name)
    node = await identity.mint("robot", NODE, ["registry:read:*"], label="pulls images for pods")
    delivery = await identity.mint(
        "robot", DELIVERY, ["registry:read:*", "kube:admin:*"], label="syncs Applications"
    )
    basic = base64.b64encode(f"windlass:{node}".encode()).decode()
    auths = {"auths": {registry: {"auth": basic} for registry in registries}}
    file = directory.write_secret(directory.folder("kube") / "registry-auth.json", json.dumps(auths))
    return Robots(delivery, file)


def instance_of(directory: DataDirectory) -> str:
    """Return the mark of this server's containers and networks on the engine, made at the first start."""
    file = directory.folder("keys") / "instance"
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        made = secrets.token_hex(4)
        directory.write_secret(file, made)
        return made
