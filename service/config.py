"""Settings: read once from the environment (`SIGNERT_…`), validated, frozen.

Secrets are never values of settings: a credential's address names the file that holds its passphrase. With
`SIGNERT_ENV=production` everything that development makes up for itself must be named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, pre_load, validate

from service.domain.agreement import SEAL, KeyPlace
from service.domain.presentation import ROLES
from service.domain.steps import Capability
from service.errors import ConfigurationError
from service.transport import Broker, Tls

__all__ = ["PREFIX", "PRODUCTION", "S3Location", "Settings", "load_settings"]

PREFIX: Final = "SIGNERT_"
_EMBEDDED_BROKER: Final = "embedded"
_NO_CAPABILITY: Final = "none"
_BROKER: Final = re.compile(r"(amqps?|rediss?|redis\+socket|sentinel)://.+")
_BUCKET: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"(?=.{0,256}$)(?:/(?P<prefix>[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?/?)?"
)
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z")
_RATE: Final = re.compile(r"[1-9][0-9]{0,6}/(second|minute|hour)\Z")
_RATE_FORM: Final = "must be like 300/minute"
_RATE_STORE: Final = re.compile(r"memory://\Z|rediss?://.+")
_SMTP: Final = re.compile(r"smtps?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_SMTP_FORM: Final = "must be smtp://host:port or smtps://host:port, without user and password"
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
    """What this process does itself; none for one that only takes commands in, sweeps or serves HTTP."""
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
    unsigned_days: int
    """Days after its end that an agreement which was never signed by all is left alone, before it may be erased."""
    renew_before_days: int
    """Days before the end of what proves a version that it is renewed, at the soonest after half of the time."""
    pseudonym_key_file: Path | None
    """The key of pseudonyms, by which the index and the access log know people."""
    public_url: str | None
    """Where the parties' page is, as they reach it; None when there is none."""
    smtp: str | None
    """The mail server that sends the parties the link to their copies; None for no e-mail."""
    smtp_user: str | None
    smtp_password_file: Path | None
    smtp_ca: Path | None
    mail_from: str | None
    command_max_age: int
    """Seconds that a signed command may have been on its way."""
    render_timeout: int
    font: Path
    bold_font: Path
    tsa: tuple[str, ...]
    tsa_policy: str | None
    """The policy (object identifier) that timestamps have to be under; None for each authority's own."""
    revocation_grace: timedelta
    """How long after the last signature evidence about revocation must have been issued before a document is closed."""
    revocation_max_age: timedelta | None
    """How old evidence about a signer's or an authority's certificate may be; None for as its issuer says."""
    trust: tuple[Path, ...]
    trust_lists: Mapping[str, tuple[Path, ...]]
    """Other anchors than those of `trust`: for signatures by a place of keys (`KeyPlace`), or for `timestamps`."""
    credentials: Mapping[str, str]
    issuers: Path | None
    """Whose tokens the HTTP service takes, and as whom (TOML; docs/http.md)."""
    http_proxies: int
    """How many proxies stand before the HTTP service, whose `X-Forwarded-…` are believed."""
    http_rate: str
    """Requests that one reader may make: `300/minute`."""
    http_address_rate: str
    """Requests that may come from one address."""
    http_rate_store: str
    """Where requests are counted: in each process (`memory://`), or a server that all share."""
    http_rate_store_password_file: Path | None
    """The password of that server."""
    http_link_seconds: int
    """For how long a link into the store is good; 0 for none."""
    login: Path | None
    """How people log in to the parties' page (TOML; docs/pages.md); None when they cannot."""
    session_key_file: Path | None
    """The keys that sessions are encrypted with, one a line, newest first; None for one that is made in `home`."""
    verify_max_mb: int
    """The largest PDF that is taken on /verify, in MB."""
    trust_list_signers: tuple[Path, ...] = ()
    """Certificates of those who sign the EU trusted lists among the anchors; without, a list is trusted as a file."""
    log_format: Literal["json", "text"] = "text"
    """How the log of long-running commands is written: one JSON object a line, or text for people."""
    management_port: int = 0
    """Where a worker tells whether it lives and is ready; 0 for nowhere."""
    management_host: str = "127.0.0.1"
    stalled_after: int = 90
    """Seconds that a worker may take nothing off the queue, although the broker has work, before it counts as dead."""
    shutdown_grace: int = 25
    """Seconds that work under way has to end after SIGTERM."""
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
    capabilities = fields.List(fields.Enum(Capability, by_value=True), load_default=list(Capability))
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
    unsigned_days = fields.Integer(load_default=90, validate=validate.Range(0, 3650))
    renew_before_days = fields.Integer(load_default=365, validate=validate.Range(1, 3650))
    pseudonym_key_file = _PathField(load_default=None)
    public_url = fields.Url(load_default=None, schemes={"http", "https"}, require_tld=False)
    smtp = fields.String(load_default=None, validate=validate.Regexp(_SMTP, error=_SMTP_FORM))
    smtp_user = fields.String(load_default=None)
    smtp_password_file = _PathField(load_default=None)
    smtp_ca = _PathField(load_default=None)
    mail_from = fields.Email(load_default=None)
    command_max_age = fields.Integer(load_default=86_400, validate=validate.Range(60, 30 * 86_400))
    render_timeout = fields.Integer(load_default=60, validate=validate.Range(1, 600))
    font = _PathField(load_default=Path("/usr/share/fonts/truetype/crosextra/Carlito-Regular.ttf"))
    bold_font = _PathField(load_default=Path("/usr/share/fonts/truetype/crosextra/Carlito-Bold.ttf"))
    tsa = fields.List(fields.Url(schemes={"http", "https"}, require_tld=False), load_default=list)
    tsa_policy = fields.String(
        load_default=None, validate=validate.Regexp(_OID, error="must be an OID, as 1.2.3")
    )
    revocation_grace = fields.TimeDelta(
        load_default=timedelta(), validate=validate.Range(timedelta(), timedelta(days=7))
    )
    revocation_max_age = fields.TimeDelta(
        load_default=None, validate=validate.Range(timedelta(minutes=5), timedelta(days=366))
    )
    trust = fields.List(_PathField(), load_default=list)
    for _list in _TRUST_LISTS:
        locals()[f"trust_{_list}"] = fields.List(_PathField(), load_default=list)
    del _list
    trust_list_signers = fields.List(_PathField(), load_default=list)
    algorithms = _PathField(load_default=None)
    log_format = fields.String(load_default=None, validate=validate.OneOf(["json", "text"]))
    management_port = fields.Integer(load_default=0, validate=validate.Range(0, 65535))
    management_host = fields.IP(load_default="127.0.0.1")
    shutdown_grace = fields.Integer(load_default=25, validate=validate.Range(1, 3600))
    stalled_after = fields.Integer(load_default=90, validate=validate.Range(3, 3600))
    issuers = _PathField(load_default=None)
    http_proxies = fields.Integer(load_default=0, validate=validate.Range(0, 5))
    http_rate = fields.String(load_default="300/minute", validate=validate.Regexp(_RATE, error=_RATE_FORM))
    http_address_rate = fields.String(
        load_default="1200/minute", validate=validate.Regexp(_RATE, error=_RATE_FORM)
    )
    http_rate_store = fields.String(
        load_default="memory://",
        validate=validate.Regexp(_RATE_STORE, error="must be memory://, redis://… or rediss://…"),
    )
    http_rate_store_password_file = _PathField(load_default=None)
    http_link_seconds = fields.Integer(load_default=60, validate=validate.Range(0, 3600))
    login = _PathField(load_default=None)
    session_key_file = _PathField(load_default=None)
    verify_max_mb = fields.Integer(load_default=25, validate=validate.Range(1, 200))
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
        given = {
            k: [p.strip() for p in v.split(",") if p.strip()] if k in lists else v for k, v in data.items()
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
        if data["http_rate_store_password_file"] and data["http_rate_store"] == "memory://":
            raise ValidationError("needs SIGNERT_HTTP_RATE_STORE=rediss://…", "http_rate_store_password_file")
        data["broker"] = _broker(data)
        data["approval"] = data["approval"] or ("automatic" if data["env"] == DEVELOPMENT else "command")
        data["log_format"] = data["log_format"] or ("text" if data["env"] == DEVELOPMENT else "json")
        data["capabilities"] = frozenset(data["capabilities"])
        data["management_host"] = str(data["management_host"])
        data["tsa"], data["trust"] = tuple(data["tsa"]), tuple(data["trust"])
        data["trust_list_signers"] = tuple(data["trust_list_signers"])
        anchors = {name: tuple(data.pop(f"trust_{name}")) for name in _TRUST_LISTS}
        data["trust_lists"] = {str(name): paths for name, paths in anchors.items() if paths}
        data["credentials"] = {role: address for role, address in addresses.items() if address}
        return Settings(**data)


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


def _first(messages: object) -> str:
    """The first text in marshmallow's nest of lists and dicts."""
    while not isinstance(messages, str):
        messages = next(iter(messages.values() if isinstance(messages, dict) else messages))  # type: ignore[call-overload]
    return messages
