"""Settings: read once from the environment (`SIGNERT_…`), validated, frozen.

Secrets are never values of settings: a credential's address names the file that holds its passphrase. With
`SIGNERT_ENV=production` everything that development makes up for itself must be named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, pre_load, validate

from service.domain.agreement import SEAL, KeyPlace
from service.domain.presentation import ROLES
from service.domain.steps import Capability
from service.errors import ConfigurationError
from service.transport import Broker, Tls

__all__ = ["PREFIX", "S3Location", "Settings", "load_settings"]

PREFIX: Final = "SIGNERT_"
_EMBEDDED_BROKER: Final = "embedded"
_BROKER: Final = re.compile(r"(amqps?|rediss?|redis\+socket|sentinel)://.+")
_BUCKET: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"(?=.{0,256}$)(?:/(?P<prefix>[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?/?)?"
)
_TRUST_LISTS: Final = (*KeyPlace, "timestamps")
DEVELOPMENT, PRODUCTION = "development", "production"


@dataclass(frozen=True)
class S3Location:
    """A bucket, and where in it. What is None is as AWS's own variables and profiles say.

    `lock` is the Object Lock mode for what must be retained, None for no locks.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    lock: Literal["GOVERNANCE", "COMPLIANCE"] | None


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set. Unset credentials, TSA and trust are the development PKI's."""

    env: str
    home: Path
    store: Path | S3Location
    broker: Broker | None
    """None for the embedded one."""
    templates: Path
    capabilities: frozenset[Capability]
    concurrency: int
    soffice: Path
    uno_python: Path
    retention_days: int
    abandoned_after: int
    """Seconds after which work that nobody has finished counts as left behind by a crash."""
    producers: Path | None
    """Who may send commands, with their keys; None when anybody may who can reach the broker."""
    signed_commands: Literal["required", "optional"]
    approval: Literal["automatic", "command"]
    """Whether a party whose key the service reaches signs by itself, or when the command `sign` says so."""
    follow_up_days: int
    """Days before its date that an item of the follow-up is told as due."""
    command_max_age: int
    """Seconds that a signed command may have been on its way."""
    render_timeout: int
    font: Path
    bold_font: Path
    tsa: tuple[str, ...]
    trust: tuple[Path, ...]
    trust_lists: Mapping[str, tuple[Path, ...]]
    """Other anchors than those of `trust`: for signatures by a place of keys (`KeyPlace`), or for `timestamps`."""
    credentials: Mapping[str, str]
    trust_list_signers: tuple[Path, ...] = ()
    """Certificates of those who sign the EU trusted lists among the anchors; without, a list is trusted as a file."""
    algorithms: Path | None = None
    """Which algorithms are accepted in signatures, and until when; the built-in policy's when None."""

    @property
    def development_pki(self) -> bool:
        """Whether keys, TSA and trust come from the development PKI: then all of them do."""
        return not self.credentials and not self.tsa and not self.trust


class _PathField(fields.String):
    """An absolute path; relative ones are taken from the working directory."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return Path(super()._deserialize(value, attr, data, **kwargs)).expanduser().absolute()


class _SettingsSchema(Schema):
    class Meta:
        unknown = RAISE

    env = fields.String(validate=validate.OneOf([DEVELOPMENT, PRODUCTION]), load_default=DEVELOPMENT)
    home = _PathField(load_default=lambda: Path("var").absolute())
    store = fields.String(load_default=None)
    s3_endpoint = fields.String(load_default=None)
    s3_region = fields.String(load_default=None, validate=validate.Length(min=1))
    s3_lock = fields.String(load_default=None, validate=validate.OneOf(["governance", "compliance"]))
    broker = fields.String(load_default=_EMBEDDED_BROKER)
    broker_password_file = _PathField(load_default=None)
    broker_ca = _PathField(load_default=None)
    broker_certificate = _PathField(load_default=None)
    broker_key = _PathField(load_default=None)
    templates = _PathField(load_default=Path(__file__).parent.parent / "templates")
    capabilities = fields.List(
        fields.Enum(Capability, by_value=True), load_default=list(Capability), validate=validate.Length(min=1)
    )
    concurrency = fields.Integer(load_default=lambda: os.cpu_count() or 1, validate=validate.Range(1, 64))
    soffice = _PathField(load_default=Path("/usr/bin/soffice"))
    uno_python = _PathField(load_default=Path("/usr/bin/python3"))
    retention_days = fields.Integer(load_default=0, validate=validate.Range(0, 365 * 100))
    abandoned_after = fields.Integer(load_default=300, validate=validate.Range(5, 3600))
    producers = _PathField(load_default=None)
    signed_commands = fields.String(
        load_default="required", validate=validate.OneOf(["required", "optional"])
    )
    approval = fields.String(load_default=None, validate=validate.OneOf(["automatic", "command"]))
    follow_up_days = fields.Integer(load_default=7, validate=validate.Range(0, 90))
    command_max_age = fields.Integer(load_default=86_400, validate=validate.Range(60, 30 * 86_400))
    render_timeout = fields.Integer(load_default=60, validate=validate.Range(1, 600))
    font = _PathField(load_default=Path("/usr/share/fonts/truetype/crosextra/Carlito-Regular.ttf"))
    bold_font = _PathField(load_default=Path("/usr/share/fonts/truetype/crosextra/Carlito-Bold.ttf"))
    tsa = fields.List(fields.Url(schemes={"http", "https"}, require_tld=False), load_default=list)
    trust = fields.List(_PathField(), load_default=list)
    for _list in _TRUST_LISTS:
        locals()[f"trust_{_list}"] = fields.List(_PathField(), load_default=list)
    del _list
    trust_list_signers = fields.List(_PathField(), load_default=list)
    algorithms = _PathField(load_default=None)
    seal = fields.String(load_default=None)
    for _role in ROLES:
        locals()[f"credential_{_role}"] = fields.String(load_default=None)
    del _role

    @pre_load
    def _split_lists(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        lists = {
            "capabilities",
            "tsa",
            "trust",
            "trust_list_signers",
            *(f"trust_{name}" for name in _TRUST_LISTS),
        }
        return {
            k: [p.strip() for p in v.split(",") if p.strip()] if k in lists else v for k, v in data.items()
        }

    @post_load
    def _settings(self, data: dict[str, Any], **_kwargs: Any) -> Settings:
        addresses = {role: data.pop(f"credential_{role}") for role in ROLES} | {SEAL: data.pop("seal")}
        s3 = {name: data.pop(f"s3_{name}") for name in ("endpoint", "region", "lock")}
        data["store"] = _store(data["store"], s3) if data["store"] else data["home"] / "store"
        for name, value in s3.items():
            if value and not isinstance(data["store"], S3Location):
                raise ValidationError("needs SIGNERT_STORE=s3://bucket/prefix", f"s3_{name}")
        data["broker"] = _broker(data)
        data["approval"] = data["approval"] or ("automatic" if data["env"] == DEVELOPMENT else "command")
        data["capabilities"] = frozenset(data["capabilities"])
        data["tsa"], data["trust"] = tuple(data["tsa"]), tuple(data["trust"])
        data["trust_list_signers"] = tuple(data["trust_list_signers"])
        anchors = {name: tuple(data.pop(f"trust_{name}")) for name in _TRUST_LISTS}
        data["trust_lists"] = {str(name): paths for name, paths in anchors.items() if paths}
        data["credentials"] = {role: address for role, address in addresses.items() if address}
        return Settings(**data)


def _broker(data: dict[str, Any]) -> Broker | None:
    """The broker of the settings; takes what belongs to it out of `data`."""
    url = data.pop("broker")
    extra = {name: data.pop(f"broker_{name}") for name in ("password_file", "ca", "certificate", "key")}
    if url == _EMBEDDED_BROKER:
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


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environ`. Raises `ConfigurationError` that names every setting at fault."""
    given = {
        name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)
    }
    try:
        settings = _SettingsSchema().load(given)
    except ValidationError as exc:
        faults = "; ".join(
            f"{PREFIX}{name.upper()}: {_first(messages)}"
            for name, messages in sorted(exc.messages_dict.items())
        )
        raise ConfigurationError(faults, remedy="The settings are listed in README.md.") from exc
    assert isinstance(settings, Settings)
    if settings.env == PRODUCTION:
        _refuse_development(settings)
    elif not settings.development_pki and not (
        settings.tsa and settings.trust and SEAL in settings.credentials
    ):
        raise ConfigurationError(
            "SIGNERT_SEAL, SIGNERT_TSA and SIGNERT_TRUST go together: some are set, some are not",
            remedy="Set all three, or none of them and no SIGNERT_CREDENTIAL_… to use the development PKI.",
        )
    return settings


def _refuse_development(settings: Settings) -> None:
    missing = [
        name
        for name, is_set in {
            "SIGNERT_SEAL": SEAL in settings.credentials,
            "SIGNERT_TSA": settings.tsa,
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


def _first(messages: object) -> str:
    """The first text in marshmallow's nest of lists and dicts."""
    while not isinstance(messages, str):
        messages = next(iter(messages.values() if isinstance(messages, dict) else messages))  # type: ignore[call-overload]
    return messages
