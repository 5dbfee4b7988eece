"""From the environment to `Settings`: what goes together, what production refuses."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from marshmallow import RAISE, ValidationError, post_load, pre_load

from service.config.sections import EMBEDDED_BROKER, LISTS, PROCESS_MEMORY, SECTIONS, TRUST_LISTS
from service.config.settings import DEVELOPMENT, PRODUCTION, S3Location, Settings
from service.domain.agreement import SEAL
from service.domain.presentation import ROLES
from service.domain.steps import Capability
from service.errors import ConfigurationError
from service.transport import Broker, Tls

__all__ = ["PREFIX", "load_settings"]

PREFIX: Final = "SIGNERT_"
_NO_CAPABILITY: Final = "none"
_BROKER: Final = re.compile(r"(amqps?|rediss?|redis\+socket|sentinel)://.+")
_BUCKET: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"(?=.{0,256}$)(?:/(?P<prefix>[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?/?)?"
)


class _SettingsSchema(*SECTIONS):  # type: ignore[misc]
    class Meta:
        unknown = RAISE

    @pre_load
    def _split_lists(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        given = {
            k: [p.strip() for p in v.split(",") if p.strip()] if k in LISTS else v for k, v in data.items()
        }
        named = given.get("capabilities")
        if named == [_NO_CAPABILITY]:
            return given | {"capabilities": []}
        if named is not None and (not named or _NO_CAPABILITY in named):
            raise ValidationError("name some, or 'none' alone", "capabilities")
        return given

    @post_load
    def _settings(self, data: dict[str, Any], **_kwargs: Any) -> Settings:
        addresses = {role: data.pop(f"credential_{role}") for role in ROLES} | {SEAL: data.pop("seal")}
        s3 = {name: data.pop(f"s3_{name}") for name in ("endpoint", "region", "lock")}
        data["store"] = _store(data["store"], s3) if data["store"] else data["home"] / "store"
        for name, value in s3.items():
            if value and not isinstance(data["store"], S3Location):
                raise ValidationError("needs SIGNERT_STORE=s3://bucket/prefix", f"s3_{name}")
        _check_mail(data)
        if data["http_rate_store_password_file"] and data["http_rate_store"] == PROCESS_MEMORY:
            raise ValidationError("needs SIGNERT_HTTP_RATE_STORE=rediss://…", "http_rate_store_password_file")
        for name in ("broker", "http_rate_store"):
            if data["env"] == PRODUCTION and _has_password(data[name]):
                raise ValidationError(
                    f"no password here: name its file in SIGNERT_{name.upper()}_PASSWORD_FILE", name
                )
        data["broker"] = _broker(data)
        data["approval"] = data["approval"] or ("automatic" if data["env"] == DEVELOPMENT else "command")
        data["log_format"] = data["log_format"] or ("text" if data["env"] == DEVELOPMENT else "json")
        data["capabilities"] = frozenset(data["capabilities"])
        data["management_host"] = str(data["management_host"])
        data["tsa"], data["trust"] = tuple(data["tsa"]), tuple(data["trust"])
        data["trust_list_signers"] = tuple(data["trust_list_signers"])
        anchors = {name: tuple(data.pop(f"trust_{name}")) for name in TRUST_LISTS}
        data["trust_lists"] = {str(name): paths for name, paths in anchors.items() if paths}
        data["credentials"] = {role: address for role, address in addresses.items() if address}
        return Settings(**data)


def _has_password(addresses: str) -> bool:
    return any(":" in urlsplit(address).netloc.rpartition("@")[0] for address in addresses.split(";"))


def _check_mail(data: Mapping[str, Any]) -> None:
    for name in ("public_url", "mail_from"):
        if data["smtp"] and not data[name]:
            raise ValidationError(f"e-mail needs SIGNERT_{name.upper()}", "smtp")
    for name in ("smtp_user", "smtp_password_file", "smtp_ca", "mail_from"):
        if data[name] and not data["smtp"]:
            raise ValidationError("needs SIGNERT_SMTP=smtps://…", name)
    if bool(data["smtp_user"]) != bool(data["smtp_password_file"]):
        raise ValidationError("user and password file go together", "smtp_user")


def _broker(data: dict[str, Any]) -> Broker | None:
    """The broker of the settings; takes what belongs to it out of `data`."""
    url = data.pop("broker")
    extra = {name: data.pop(f"broker_{name}") for name in ("password_file", "ca", "certificate", "key")}
    if url == EMBEDDED_BROKER:
        for name in (name for name, value in extra.items() if value):
            raise ValidationError("needs SIGNERT_BROKER=amqps://…", f"broker_{name}")
        return None
    if not all(_BROKER.fullmatch(part) for part in url.split(";")):
        raise ValidationError("must be 'embedded', amqp(s)://…, redis(s)://… or redis+socket://…", "broker")
    tls = Tls(extra["ca"], extra["certificate"], extra["key"])
    broker = Broker(url, tls, data["abandoned_after"])
    if broker.ssl is None and tls != Tls():
        raise ValidationError("a certificate needs amqps:// or rediss://", "broker")
    if extra["password_file"]:
        try:
            password = extra["password_file"].read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ValidationError("this file cannot be read", "broker_password_file") from None
        broker = broker.with_password(password)
    return broker


def _store(address: str, s3: Mapping[str, Any]) -> Path | S3Location:
    if place := _BUCKET.fullmatch(address):
        server = urlsplit(s3["endpoint"] or "")
        if s3["endpoint"] and (
            server.scheme not in {"http", "https"}
            or not server.hostname
            or "@" in server.netloc
            or server.query
        ):
            raise ValidationError("must be http:// or https:// with a host, and no password", "s3_endpoint")
        lock = s3["lock"].upper() if s3["lock"] else None
        return S3Location(place["bucket"], place["prefix"] or "", s3["endpoint"] or None, s3["region"], lock)
    parts = urlsplit(address)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ValidationError("must be file:///absolute/path or s3://bucket/prefix", "store")
    return Path(unquote(parts.path))


_KNOWN: Final = frozenset(_SettingsSchema().fields)


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environ`. Raises `ConfigurationError` that names every setting at fault."""
    given = {
        name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)
    }
    try:
        settings = _SettingsSchema().load(given)
    except ValidationError as exc:
        faults = "; ".join(
            f"{PREFIX}{name.upper()}: {_first(messages) if name in _KNOWN else _unknown(name)}"
            for name, messages in sorted(exc.messages_dict.items())
        )
        raise ConfigurationError(faults, remedy="The settings are listed in docs/configuration.md.") from exc
    assert isinstance(settings, Settings)
    if settings.env == PRODUCTION:
        _refuse_development(settings)
    elif (Capability.SIGN in settings.capabilities and not settings.development_pki) and not (
        settings.tsa and settings.trust and SEAL in settings.credentials
    ):
        raise ConfigurationError(
            "SIGNERT_SEAL, SIGNERT_TSA and SIGNERT_TRUST go together: some are set, some are not",
            remedy="Set all three, or none of them and no SIGNERT_CREDENTIAL_… to use the development PKI.",
        )
    return settings


def _refuse_development(settings: Settings) -> None:
    signs = Capability.SIGN in settings.capabilities  # who does not need not even be told where keys would be
    missing = [
        name
        for name, is_set in {
            "SIGNERT_SEAL": SEAL in settings.credentials or not signs,
            "SIGNERT_TSA": settings.tsa or not signs,
            "SIGNERT_TRUST": settings.trust,
            "SIGNERT_BROKER": settings.broker is not None,
        }.items()
        if not is_set
    ]
    place = settings.store
    if isinstance(place, S3Location) and (place.endpoint or "").startswith("http:"):
        raise ConfigurationError(
            "SIGNERT_S3_ENDPOINT: SIGNERT_ENV=production needs https://, for agreements hold health data",
            remedy="Give the store a certificate, or put a TLS proxy beside it.",
        )
    if missing:
        raise ConfigurationError(
            f"SIGNERT_ENV=production needs {', '.join(missing)}: the embedded broker and the development PKI are for "
            "development only",
            remedy="Name the real ones.",
        )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
    return (
        f"there is no such setting; is {PREFIX}{near[0].upper()} meant?"
        if near
        else "there is no such setting"
    )


def _first(messages: object) -> str:
    """The first text in marshmallow's nest of lists and dicts."""
    while not isinstance(messages, str):
        messages = next(iter(messages.values() if isinstance(messages, dict) else messages))  # type: ignore[call-overload]
    return messages
