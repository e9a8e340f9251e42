"""The guard of conftest.py works: here, in child processes, and where an error is swallowed."""

import contextlib
import multiprocessing
import socket
import subprocess
import sys

import pytest

ADDRESS = ("192.0.2.1", 80)  # reserved for documentation (RFC 5737)


def test_an_address_outside_is_refused_and_written_down(no_network):
    with socket.socket() as sock, pytest.raises(RuntimeError, match=r"network is forbidden.*192\.0\.2\.1"):
        sock.connect(ADDRESS)
    assert no_network.take() == ["192.0.2.1"]


def test_a_datagram_is_refused(no_network):
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(RuntimeError, match="network is forbidden"):
        sock.sendto(b"x", ADDRESS)
    assert no_network.take() == ["192.0.2.1"]


def test_a_name_is_not_looked_up(no_network):
    with pytest.raises(RuntimeError, match=r"example\.invalid"):
        socket.getaddrinfo("example.invalid", 443)
    assert no_network.take() == ["example.invalid"]


def test_an_attempt_is_seen_though_the_error_is_swallowed(no_network):
    with contextlib.suppress(Exception):
        socket.create_connection(("example.invalid", 443))
    assert no_network.take() == ["example.invalid"]


def test_a_child_process_is_guarded(no_network):
    code = "import urllib.request; urllib.request.urlopen('http://example.invalid')"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode != 0
    assert "network is forbidden" in child.stderr
    assert no_network.take() == ["example.invalid"]


def test_a_spawned_worker_is_guarded(no_network):
    address = ("example.invalid", 443)
    process = multiprocessing.get_context("spawn").Process(target=socket.create_connection, args=(address,))
    process.start()
    process.join()
    assert process.exitcode != 0
    assert no_network.take() == ["example.invalid"]


def test_loopback_stays_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        socket.getaddrinfo("localhost", 80)


def test_unix_sockets_stay_open():
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"
