"""`signert serve` as it is run: gunicorn in processes of its own, on a real store, asked over real connections."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from service.adapters.directory import DirectoryStore
from service.bootstrap import needed_pseudonyms, system_clock
from service.config import load_settings
from service.entrypoints.cli import cli
from tests.oidcprovider import Provider, serve_provider
from tests.ports import free_ports
from tests.processes import wait_until
from tests.shelved import Shelf, mentor
from tests.webservice import write_issuers

LARGE = 48 * 1024**2


@dataclass
class Served:
    address: str
    process: subprocess.Popen[bytes]
    provider: Provider
    shelf: Shelf
    environ: dict[str, str]
    log: Path

    def get(self, path: str, role: str = "archivist", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.provider.token(role=role)}", **more.pop("headers", {})}
        return requests.get(f"{self.address}{path}", headers=headers, timeout=60, **more)

    def access_log(self, *arguments: str) -> str:
        done = CliRunner().invoke(cli, ["access-log", *arguments], env=self.environ)
        assert done.exit_code == 0, done.output
        return done.output


@contextlib.contextmanager
def served(home: Path, **more: str) -> Iterator[Served]:
    """`more` are settings without their prefix."""
    with serve_provider() as provider:
        settings = {"SIGNERT_HOME": str(home), "SIGNERT_ISSUERS": str(write_issuers(home, provider))}
        settings |= {f"SIGNERT_{name}": value for name, value in more.items()}
        environ = {**os.environ, **settings}
        store = DirectoryStore(home / "store")
        shelf = Shelf(store, system_clock(), needed_pseudonyms(load_settings(settings)))
        (port,) = free_ports(1)
        address, log = f"http://127.0.0.1:{port}", home / "serve.log"
        command = [sys.executable, "-m", "service.entrypoints.cli", "serve", "--port", str(port), "--json"]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, env=environ, stderr=stderr, start_new_session=True)
        try:
            wait_until(lambda: _is_ready(address, process))
            yield Served(address, process, provider, shelf, environ, log)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)


def _is_ready(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "signert serve has ended"
    try:
        return requests.get(f"{address}/readyz", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


def test_the_main_job(service: Served) -> None:
    """An archivist finds an agreement, reads it, takes it away, and all of that is in the access log."""
    agreement_id = service.shelf.signed(mentor())
    case = mentor()["case"]
    query = f"/api/v1/agreements?case_system={case['system']}&case_reference={case['reference']}"
    (item,) = service.get(query).json()["items"]
    assert item["id"] == agreement_id
    told = service.get(item["href"]).json()["versions"][0]
    document = next(d for d in told["documents"] if d["name"] == "document")
    body = service.get(document["href"]).content
    assert hashlib.sha256(body).hexdigest() == document["sha256"]
    whole = service.get(f"{item['href']}/export", stream=True)
    assert whole.headers["Transfer-Encoding"] == "chunked"
    assert body in whole.content
    assert [line.split()[-2:] for line in service.access_log(agreement_id).splitlines()] == [
        ["agreement", "read"],
        ["document", "read"],
        ["export", "read"],
    ]
    records = json.loads(service.access_log(agreement_id, "--json", "--since", "2020-01-01"))
    assert [r["what"] for r in records["records"]] == ["agreement", "document", "export"]
    assert "archivist" in service.access_log("--searches")
    assert service.access_log(agreement_id, "--since", "2999-01-01") == "Nothing has been read.\n"
    service.get(f"/api/v1/agreements/{agreement_id[::-1]}")
    assert "refused" in service.access_log("--refused")
    assert CliRunner().invoke(cli, ["access-log"], env=service.environ).exit_code == 2


def test_a_large_document_is_streamed(service: Served) -> None:
    """The service's processes take no more memory for a document than for a piece of one."""
    body = os.urandom(1024**2) * (LARGE // 1024**2)
    agreement_id = service.shelf.signed(mentor(), body=body)
    path = f"/api/v1/agreements/{agreement_id}/versions/1/document"
    before = peak_of(service.process.pid)
    digest = hashlib.sha256()
    with service.get(path, stream=True) as answer:
        assert answer.headers["Content-Length"] == str(LARGE)
        for piece in answer.iter_content(1024**2):
            digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(body).hexdigest()
    part = service.get(path, headers={"Range": f"bytes={LARGE - 10}-"})
    assert (part.status_code, part.content) == (206, body[-10:])
    for _ in range(3):  # readers who go away
        with service.get(path, stream=True) as answer:
            next(answer.iter_content(1024))
    with service.get(f"/api/v1/agreements/{agreement_id}/export", stream=True) as answer:
        assert sum(map(len, answer.iter_content(1024**2))) > LARGE
    assert peak_of(service.process.pid) - before < 16 * 1024**2


def peak_of(pid: int) -> int:
    """The largest resident memory that any child of the process has had, in bytes."""
    peaks = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        (line,) = [e for e in Path(f"/proc/{child}/status").read_text().splitlines() if e.startswith("VmHWM")]
        peaks.append(int(line.split()[1]) * 1024)
    return max(peaks)


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /" + "a" * 5000 + " HTTP/1.1", [], b"414"),
        ("GET /healthz HTTP/1.1", ["X: " + "a" * 20_000], b"431"),
        ("GET /healthz HTTP/1.1", [f"X-{n}: a" for n in range(200)], b"431"),
        ("GET /healthz", ["X: a"], b"400"),
        ("GET /healthz HTTP/9.9", [], b"400"),
        ("GET /healthz HTTP/1.1", ["Content-Length: 5", "Transfer-Encoding: chunked"], b"400"),
        ("GET /healthz HTTP/1.1", ["Content-Length: -1"], b"400"),
        ("GET /healthz HTTP/1.1", ["Bad Header: a"], b"400"),
        ("\x16\x03\x01\x02", [], b"400"),
    ],
)
def test_requests_that_are_none(
    service: Served, request_line: str, headers: list[str], status: bytes
) -> None:
    host, _, port = service.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        text = "\r\n".join([request_line, "Host: localhost", *headers, "", ""])
        connection.sendall(text.encode("latin-1"))
        assert connection.recv(100).split(b" ", 2)[1] == status
    assert requests.get(f"{service.address}/healthz", timeout=20).status_code == 200


def test_a_path_that_was_not_made_simple_by_a_client(service: Served) -> None:
    host, _, port = service.address.removeprefix("http://").partition(":")
    for path in (
        "/../../etc/passwd",
        "/api/v1/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1//x",
        "//x/y",
    ):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(100).split(b" ", 2)[1] == b"404"


def test_it_stops_when_it_is_told_to_and_finishes_what_it_has_begun(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        agreement_id = service.shelf.signed(mentor(), body=b"%PDF" + os.urandom(30 * 1024**2))
        answer = service.get(f"/api/v1/agreements/{agreement_id}/versions/1/document", stream=True)
        pieces = answer.iter_content(64 * 1024)
        received = len(next(pieces))
        service.process.send_signal(signal.SIGTERM)
        received += sum(map(len, pieces))
        assert received == int(answer.headers["Content-Length"])
        assert service.process.wait(60) == 0
        for line in service.log.read_text().splitlines():
            assert json.loads(line)["level"] in {"INFO", "WARNING"}


def test_it_does_not_start_with_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "issuers.toml").write_text("nonsense = 1")
    environ = {**os.environ, "SIGNERT_HOME": str(tmp_path), "SIGNERT_ISSUERS": str(tmp_path / "issuers.toml")}
    command = [sys.executable, "-m", "service.entrypoints.cli", "serve", "--port", "1"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert "SIGNERT_ISSUERS" in ended.stderr
