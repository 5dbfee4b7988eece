"""The development PKI: a throw-away root, a seal, a key for each party, a TSA and an OCSP responder.

    pki = ensure(home / "devpki", environment="development")
    with DevPkiServer(pki, environment="development"):
        ...  # pki.credential("participant"), pki.tsa_url, pki.root_pem

It is made once in its folder and kept: what was signed with it can be verified as long as `root.pem` is
there. It proves nothing about anybody, every name in it says so, and nothing of it works in production.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from service.background import SharedProcess, child_environment, make_private_folder
from service.errors import ConfigurationError

__all__ = ["DevPki", "DevPkiServer", "ensure"]

_CREATE = "service.adapters.devpki_create"
_SERVER = "service.adapters.devpki_server"
_NAME = "devpki"
_MANIFEST = "devpki.json"
_FORMAT = 1
_CREATE_LIMIT = 120.0
_ANSWER_LIMIT = 10.0


@dataclass(frozen=True)
class DevPki:
    """What a development PKI offers. `credentials` holds a `pkcs12:` address for each party role."""

    folder: Path
    id: str
    root_pem: Path
    chain_pem: Path
    credentials: Mapping[str, str]
    seal: str
    tsa_url: str
    port: int
    valid_until: datetime

    def credential(self, role: str) -> str:
        """The credential URI of a party role, or of `seal`. Raises `ConfigurationError` for another name."""
        if role == "seal":
            return self.seal
        try:
            return self.credentials[role]
        except KeyError:
            raise ConfigurationError(
                f"The development PKI has no key for {role!r}.",
                remedy=f"Roles: {', '.join(self.credentials)}, seal.",
            ) from None


def ensure(folder: Path, *, environment: str, port: int | None = None) -> DevPki:
    """The development PKI of `folder`, made now when there is none.

    Any number of processes may call this at once; one of them makes it. What a crash left half-made is made
    anew. `port` is where its TSA and OCSP responder will answer: a free one when None.
    Raises `ConfigurationError` in production, when it cannot be made, when it is damaged or expired, and
    when it was made for another port.
    """
    _refuse_production(environment)
    folder = folder.absolute()
    make_private_folder(folder)
    if not (folder / _MANIFEST).exists():
        lock = os.open(folder / ".create", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / _MANIFEST).exists():
                _create(folder, environment, port)
        finally:
            os.close(lock)
    pki = _load(folder)
    if port not in (None, pki.port):
        raise ConfigurationError(
            f"The development PKI in {folder} was made for port {pki.port}, not {port}.",
            remedy=f"Use that port, or move {folder} away to have a new one made.",
        )
    return pki


class DevPkiServer:
    """TSA, OCSP responder and CRLs of a development PKI, on 127.0.0.1.

    All processes that use one PKI share one server; it ends with the last of them, however they go.
    """

    def __init__(self, pki: DevPki, *, environment: str) -> None:
        _refuse_production(environment)
        self._pki = pki
        self._process = SharedProcess(pki.folder, _NAME, _SERVER, [str(pki.folder), environment])

    def ensure_running(self) -> None:
        """Returns when the server answers; starts it when it does not run.

        Raises `ConfigurationError` when it cannot run, or something else listens on its port.
        """
        _refuse_missing_extra()
        deadline = time.monotonic() + _ANSWER_LIMIT
        while True:
            self._process.acquire()
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The development PKI runs but does not answer on 127.0.0.1:{self._pki.port}.",
                    remedy=f"See {self._pki.folder / 'devpki.log'}. Is the folder shared between machines?",
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop using the server. It ends when no other process uses it."""
        self._process.release()

    def __enter__(self) -> DevPki:
        self.ensure_running()
        return self._pki

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._pki.port, timeout=5)
        try:
            connection.request("GET", "/identity")
            return bool(json.loads(connection.getresponse().read()).get("devpki") == self._pki.id)
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            return False
        finally:
            connection.close()


def _refuse_production(environment: str) -> None:
    if environment.casefold() == "production":
        raise ConfigurationError(
            "The development PKI does not run in production: its signatures prove nothing.",
            remedy="Name real credentials, trust anchors and a TSA, or unset SIGNERT_ENV to try things out.",
        )


def _refuse_missing_extra() -> None:
    if find_spec("certomancer") is None:
        raise ConfigurationError(
            "The development PKI needs the package certomancer.",
            remedy="Run `pip install signert[development]`, or name real credentials and a TSA.",
        )


def _create(folder: Path, environment: str, port: int | None) -> None:
    _refuse_missing_extra()
    command = [sys.executable, "-m", _CREATE, str(folder), environment]
    if port is not None:
        command.append(str(port))
    remedy = "Check that the folder can be written and has room."
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=child_environment(),
            timeout=_CREATE_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"The development PKI was not made in {_CREATE_LIMIT:.0f} s.", remedy=remedy
        ) from error
    if done.returncode == 0:
        return
    reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit {done.returncode}"
    raise ConfigurationError(f"The development PKI could not be made in {folder}: {reason}.", remedy=remedy)


def _load(folder: Path) -> DevPki:
    remedy = f"Move {folder} away to have a new development PKI made."
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        if manifest["format"] != _FORMAT:
            raise ConfigurationError(f"The development PKI in {folder} is of another release.", remedy=remedy)
        files = {role: folder / name for role, name in manifest["files"].items()}
        pki = DevPki(
            folder=folder,
            id=manifest["id"],
            root_pem=folder / "root.pem",
            chain_pem=folder / "chain.pem",
            credentials={role: _uri(path, folder) for role, path in files.items() if role != "seal"},
            seal=_uri(files["seal"], folder),
            tsa_url=manifest["tsa_url"],
            port=manifest["port"],
            valid_until=datetime.fromisoformat(manifest["valid_until"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"The development PKI in {folder} is damaged.", remedy=remedy) from error
    for path in (pki.root_pem, pki.chain_pem, folder / "passphrase", *files.values()):
        if not os.access(path, os.R_OK):
            raise ConfigurationError(f"The development PKI in {folder} lacks {path.name}.", remedy=remedy)
    if pki.valid_until <= datetime.now(UTC):
        raise ConfigurationError(f"The development PKI in {folder} has expired.", remedy=remedy)
    return pki


def _uri(path: Path, folder: Path) -> str:
    return f"pkcs12:{quote(str(path))}?passphrase-file={quote(str(folder / 'passphrase'))}"
