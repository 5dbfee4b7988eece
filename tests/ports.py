"""Ports for servers that tests start, stop and start again."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

__all__ = ["free_ports"]


def free_ports(count: int) -> list[int]:
    """Free loopback ports, each another one."""
    # Below those that the kernel gives to outgoing connections: while the server is away, none takes its port,
    # nor can a client that tries to reach it be connected to itself.
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", random.randrange(10_000, max(first_outgoing, 20_000))))
                found.append(int(listener.getsockname()[1]))
        return found
