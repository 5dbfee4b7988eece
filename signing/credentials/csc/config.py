"""The file a `csc:` address names, read and checked."""

from __future__ import annotations

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from signing.errors import CredentialError

__all__ = ["MODES", "ClientConfig", "CscConfig", "SecretFile", "check_url"]

_T = TypeVar("_T")
MODES: Final = ("implicit", "explicit", "oauth2code")
_KEYS: Final = {
    "service",
    "credential",
    "version",
    "authorization",
    "pin-file",
    "certificate-sha256",
    "ca-file",
    "connect-timeout",
    "read-timeout",
    "info-max-age",
    "client",
}
_CLIENT_KEYS: Final = {
    "id",
    "secret-file",
    "authentication",
    "scope",
    "token-endpoint",
    "authorization-endpoint",
    "redirect-uri",
}


@dataclass(frozen=True)
class SecretFile:
    """A secret by reference: it is read when it is used and not kept."""

    path: Path

    def read(self) -> str:
        """Its content without line end. Raises `CredentialError`."""
        try:
            value = self.path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise CredentialError(f"the secret file {self.path} cannot be read") from None
        if not value:
            raise CredentialError(f"the secret file {self.path} is empty")
        return value


@dataclass(frozen=True)
class ClientConfig:
    """Who we are to the authorization server (RFC 6749, 2)."""

    id: str
    secret: SecretFile | None = None
    authentication: str = "post"
    scope: str | None = None
    token_endpoint: str | None = None
    authorization_endpoint: str | None = None
    redirect_uri: str | None = None


@dataclass(frozen=True)
class CscConfig:
    """Which service and which credential. Times are in seconds."""

    service: str
    credential: str
    version: int | None = None
    authorization: str | None = None
    pin: SecretFile | None = None
    certificate_sha256: str | None = None
    ca_file: Path | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    info_max_age: float = 60.0
    client: ClientConfig | None = None

    @classmethod
    def load(cls, path: Path) -> CscConfig:
        """Read the file and check that its secrets can be read. Raises `CredentialError`; never shows a value."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CredentialError(
                f"the file {path} cannot be read ({error.strerror})", remedy="check the path and its rights"
            ) from None
        except ValueError:
            raise CredentialError(f"the file {path} is not TOML") from None
        fields = _Fields(path, content, _KEYS)
        client = fields.table("client")
        config = cls(
            service=check_url(fields.text("service"), f"service in {path}").rstrip("/"),
            credential=fields.text("credential"),
            version=fields.one_of("version", (1, 2)),
            authorization=fields.one_of("authorization", MODES),
            pin=fields.secret("pin-file"),
            certificate_sha256=fields.digest("certificate-sha256"),
            ca_file=fields.path("ca-file"),
            connect_timeout=fields.seconds("connect-timeout", 5.0),
            read_timeout=fields.seconds("read-timeout", 30.0),
            info_max_age=fields.seconds("info-max-age", 60.0, least=0.0),
            client=None if client is None else _client(_Fields(path, client, _CLIENT_KEYS, "client.")),
        )
        if config.ca_file:
            try:
                ssl.create_default_context(cafile=config.ca_file)
            except OSError:
                raise CredentialError(f"the certificates in {config.ca_file} cannot be read") from None
        for secret in (config.pin, config.client and config.client.secret):
            if secret:
                secret.read()
        return config


def _client(fields: _Fields) -> ClientConfig:
    return ClientConfig(
        id=fields.text("id"),
        secret=fields.secret("secret-file"),
        authentication=fields.one_of("authentication", ("post", "basic")) or "post",
        scope=fields.optional("scope"),
        token_endpoint=fields.url("token-endpoint"),
        authorization_endpoint=fields.url("authorization-endpoint"),
        redirect_uri=fields.optional("redirect-uri"),
    )


def check_url(url: str, what: str) -> str:
    """`url`, when it is https, or http to this machine itself, and without user, query and fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise CredentialError(f"{what} is not a URL") from None
    if parts.scheme not in ("https", "http") or not host:
        raise CredentialError(f"{what} is not an https URL")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise CredentialError(f"{what} may hold host and path only", remedy="secrets belong in files")
    if parts.scheme == "http" and not _loopback(host):
        raise CredentialError(f"{what} is not encrypted", remedy="use https")
    return url


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Fields:
    """One table of the file; errors name the field, never what it holds."""

    def __init__(self, path: Path, content: Mapping[str, Any], known: set[str], prefix: str = "") -> None:
        self._path = path
        self._content = content
        self._prefix = prefix
        unknown = sorted(set(content) - known)
        if unknown:
            hint = f"{unknown[0]}-file" if f"{unknown[0]}-file" in known else ""
            raise CredentialError(
                f"{path} has no field {prefix}{unknown[0]}",
                remedy=f"put the secret in a file and name it as {prefix}{hint}"
                if hint
                else "the fields are " + ", ".join(sorted(known)),
            )

    def _wrong(self, name: str, want: str) -> CredentialError:
        return CredentialError(f"{self._prefix}{name} in {self._path} must be {want}")

    def optional(self, name: str) -> str | None:
        value = self._content.get(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise self._wrong(name, "text")
        return value

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise CredentialError(f"{self._path} lacks the field {self._prefix}{name}")
        return value

    def one_of(self, name: str, allowed: tuple[_T, ...]) -> _T | None:
        value = self._content.get(name)
        for item in allowed:
            if value == item and type(value) is type(item):
                return item
        if value is None:
            return None
        raise self._wrong(name, "one of " + ", ".join(map(str, allowed)))

    def seconds(self, name: str, default: float, *, least: float = 0.01) -> float:
        value = self._content.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 3600:
            raise self._wrong(name, f"a number of seconds from {least:g} to 3600")
        return float(value)

    def path(self, name: str) -> Path | None:
        value = self.optional(name)
        return None if value is None else self._path.parent / value

    def secret(self, name: str) -> SecretFile | None:
        path = self.path(name)
        return None if path is None else SecretFile(path)

    def url(self, name: str) -> str | None:
        value = self.optional(name)
        return None if value is None else check_url(value, f"{self._prefix}{name} in {self._path}")

    def digest(self, name: str) -> str | None:
        value = self.optional(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
            raise self._wrong(name, "64 hexadecimal digits")
        return value.lower()

    def table(self, name: str) -> Mapping[str, Any] | None:
        value = self._content.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(name, "a table")
        return value
