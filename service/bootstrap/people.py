"""Who reads, logs in and is known by which name."""

from __future__ import annotations

import base64
import contextlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.adapters.directory import DirectoryStore
from service.config import PRODUCTION, Settings
from service.domain.pseudonyms import MIN_KEY, Pseudonyms
from service.errors import AlreadyExists, ConfigurationError

if TYPE_CHECKING:
    from service.adapters.tokens import Tokens
    from service.adapters.tokens.login import LoginProvider

__all__ = ["needed_pseudonyms", "open_login", "open_pseudonyms", "open_tokens", "session_keys"]

_SESSION_KEY_BYTES = 32


def open_pseudonyms(settings: Settings) -> Pseudonyms | None:
    """By which the index and the access log know people; None in production when no key is set.

    In development the key is made, once. Raises `ConfigurationError` for a file that holds none.
    """
    path = settings.pseudonym_key_file
    if path is None:
        if settings.env == PRODUCTION:
            return None
        path = settings.home / "keys/pseudonym.key"
        with contextlib.suppress(AlreadyExists):
            DirectoryStore(path.parent).create(path.name, secrets.token_hex(MIN_KEY).encode())
    try:
        key = path.read_bytes().strip()
    except OSError as exc:
        raise ConfigurationError(
            f"SIGNERT_PSEUDONYM_KEY_FILE: {path} cannot be read: {exc.strerror}",
            remedy="Name a file with a key that all processes share, and that is kept as long as the store.",
        ) from exc
    if len(key) < MIN_KEY:
        raise ConfigurationError(
            f"SIGNERT_PSEUDONYM_KEY_FILE: the key in {path} is shorter than {MIN_KEY} bytes",
            remedy="Make one with `openssl rand -hex 32`, for a service that has had none before.",
        )
    return Pseudonyms(key)


def needed_pseudonyms(settings: Settings) -> Pseudonyms:
    """As `open_pseudonyms`, for who cannot do without: raises `ConfigurationError` when there is no key."""
    found = open_pseudonyms(settings)
    if found is None:
        raise ConfigurationError(
            "SIGNERT_ENV=production needs SIGNERT_PSEUDONYM_KEY_FILE",
            remedy="Make one that all processes share: openssl rand -hex 32 > pseudonym.key",
        )
    return found


def open_tokens(settings: Settings) -> Tokens:
    """What knows the readers of the HTTP service; nobody's token is taken where no issuers are named.

    Raises `ConfigurationError` for a file of issuers with faults, and in production when there is none.
    """
    from service.adapters.tokens import Tokens, load_issuers

    production = settings.env == PRODUCTION
    if settings.issuers is None:
        if production:
            raise ConfigurationError(
                "SIGNERT_ENV=production needs SIGNERT_ISSUERS: nobody could read anything",
                remedy="Name the providers whose tokens are taken; docs/http.md has the shape of the file.",
            )
        return Tokens(())
    return Tokens(load_issuers(settings.issuers, production=production))


def open_login(settings: Settings) -> LoginProvider | None:
    """How people log in, None when that is not set up. Raises `ConfigurationError`."""
    if settings.login is None:
        return None
    from service.adapters.tokens.login import load_login

    parts = urlsplit(settings.public_url or "")
    local = settings.env != PRODUCTION and parts.hostname in {"localhost", "127.0.0.1"}
    if not (parts.scheme == "https" or local) or parts.path.strip("/") or parts.query:
        raise ConfigurationError(
            "SIGNERT_LOGIN needs SIGNERT_PUBLIC_URL=https://host, with no path",
            remedy="Say where people find the page.",
        )
    return load_login(settings.login, production=settings.env == PRODUCTION)


def session_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys that sessions are encrypted with, newest first: 32 bytes in base64url, one a line.

    Without `SIGNERT_SESSION_KEY_FILE` one is made in the data folder, but not in production.
    Raises `ConfigurationError`.
    """
    path = settings.session_key_file
    if path is None:
        if settings.env == PRODUCTION and settings.login:
            raise ConfigurationError(
                "SIGNERT_LOGIN needs SIGNERT_SESSION_KEY_FILE",
                remedy="Make one that all processes share; docs/pages.md says how.",
            )
        path = settings.home / "keys/session.key"
        made = base64.urlsafe_b64encode(secrets.token_bytes(_SESSION_KEY_BYTES))
        with contextlib.suppress(AlreadyExists):
            DirectoryStore(path.parent).create(path.name, made)
    try:
        keys = tuple(path.read_bytes().split())
        if not keys or any(len(base64.urlsafe_b64decode(key)) != _SESSION_KEY_BYTES for key in keys):
            raise ValueError
    except (OSError, ValueError):
        raise ConfigurationError(
            "SIGNERT_SESSION_KEY_FILE: not keys of 32 bytes in base64url, one a line",
            remedy="docs/pages.md says how to make one.",
        ) from None
    return keys
