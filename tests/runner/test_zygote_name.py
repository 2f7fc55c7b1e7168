"""The fork server and its client mean the same socket."""

from windlass.runner import client, zygote


def test_both_sides_name_the_socket_alike() -> None:
    assert client.SOCKET == zygote.SOCKET
