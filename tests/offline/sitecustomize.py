"""Forbid the network to every Python process that has this folder on its path; Python imports it at start-up.

Sockets of the machine itself (AF_UNIX, loopback) stay open, because data workers and gloo talk through them. An attempt
raises and is also written down, since a library may swallow the error and quietly go on.
"""

import os
import socket
from pathlib import Path

LOG = "LIMBECK_TEST_NETWORK_LOG"
LOCAL = ("localhost", "ip6-localhost", "127.", "::1", "0.0.0.0", "::ffff:127.")


class NetworkForbiddenError(RuntimeError):
    """A test or a command tried to reach the network."""


def forbid_network():
    """Patch the `socket` module of this process."""
    if hasattr(socket, "limbeck_forbidden"):
        return
    socket.limbeck_forbidden = True
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _method(getattr(socket.socket, name)))
    socket.socket.sendto = _sendto(socket.socket.sendto)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, _look_up(getattr(socket, name)))


def _method(original):
    def guarded(self, address):
        _check_address(self, address)
        return original(self, address)

    return guarded


def _sendto(original):
    def guarded(self, data, *flags_and_address):
        _check_address(self, flags_and_address[-1])
        return original(self, data, *flags_and_address)

    return guarded


def _look_up(original):
    def guarded(host, *args, **kwargs):
        _check_host(host)
        return original(host, *args, **kwargs)

    return guarded


def _check_address(sock, address):
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        _check_host(address[0])


def _check_host(host):
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", socket.gethostname()) or name.startswith(LOCAL):
        return
    if log := os.environ.get(LOG):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
    raise NetworkForbiddenError(f"the network is forbidden here, but '{name}' was asked for")


forbid_network()
