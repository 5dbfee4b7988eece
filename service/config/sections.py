"""Every setting: its form, its default, and what docs/configuration.md tells operators of it. One class a topic."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict, Unpack

from marshmallow import Schema, fields, validate

from service.config.settings import DEVELOPMENT, PRODUCTION
from service.domain.agreement import KeyPlace
from service.domain.presentation import ROLES
from service.domain.steps import Capability

__all__ = ["EMBEDDED_BROKER", "LISTS", "PROCESS_MEMORY", "SECTIONS", "TRUST_LISTS"]

EMBEDDED_BROKER: Final = "embedded"
PROCESS_MEMORY: Final = "memory://"
TRUST_LISTS: Final = (*KeyPlace, "timestamps")
LISTS: Final = frozenset(
    {"capabilities", "tsa", "trust", "trust_list_signers", *(f"trust_{name}" for name in TRUST_LISTS)}
)
"""Settings that are several values, with commas between."""
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z")
_RATE: Final = re.compile(r"[1-9][0-9]{0,6}/(second|minute|hour)\Z")
_RATE_FORM: Final = "must be like 300/minute"
_RATE_STORE: Final = re.compile(r"memory://\Z|rediss?://.+")
_SMTP: Final = re.compile(r"smtps?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_SMTP_FORM: Final = "must be smtp://host:port or smtps://host:port, without user and password"
_CARLITO: Final = Path("/usr/share/fonts/truetype/crosextra")
_ROOT: Final = Path(__file__).parents[2]


class _Told(TypedDict):
    """What is told of a setting beside its form.

    `otherwise` is what holds when it is not set, where the field's own default says too little; `secret` when the file
    that is named holds one.
    """

    example: str
    unit: NotRequired[str]
    otherwise: NotRequired[str]
    secret: NotRequired[bool]


def _told(purpose: str, **told: Unpack[_Told]) -> dict[str, Any]:
    return {"purpose": purpose, **told}


class _Path(fields.String):
    """An absolute path; relative ones are taken from the working directory."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return Path(super()._deserialize(value, attr, data, **kwargs)).expanduser().absolute()


def _file(purpose: str, **told: Unpack[_Told]) -> _Path:
    return _Path(load_default=None, metadata=_told(purpose, **told))


def _files(purpose: str, **told: Unpack[_Told]) -> fields.List[str]:
    return fields.List(_Path(), load_default=list, metadata=_told(purpose, **told))


def _text(purpose: str, **told: Unpack[_Told]) -> fields.String:
    return fields.String(load_default=None, metadata=_told(purpose, **told))


def _number(default: int, least: int, most: int, purpose: str, **told: Unpack[_Told]) -> fields.Integer:
    return fields.Integer(
        load_default=default, validate=validate.Range(least, most), metadata=_told(purpose, **told)
    )


def _choice(default: str | None, among: list[str], purpose: str, **told: Unpack[_Told]) -> fields.String:
    return fields.String(
        load_default=default, validate=validate.OneOf(among), metadata=_told(purpose, **told)
    )


def _rate(default: str, purpose: str, **told: Unpack[_Told]) -> fields.String:
    form = validate.Regexp(_RATE, error=_RATE_FORM)
    return fields.String(load_default=default, validate=form, metadata=_told(purpose, **told))


class General(Schema):
    """Where it runs"""

    env = _choice(
        DEVELOPMENT, [DEVELOPMENT, PRODUCTION],
        "`production` refuses everything that development makes up for itself", example=PRODUCTION,
    )  # fmt: skip
    home = _Path(
        load_default=lambda: Path("var").absolute(),
        metadata=_told(
            "data folder of the embedded broker, the directory store and the development PKI",
            otherwise="`./var`", example="/var/lib/signert",
        ),
    )  # fmt: skip
    log_format = _choice(
        None, ["json", "text"], "form of the log: a JSON object a line, or text for people",
        otherwise="`text`; `json` in production", example="json",
    )  # fmt: skip


class Store(Schema):
    """Store"""

    store = _text(
        "where agreements are kept: `file:///path` or `s3://bucket/prefix`",
        otherwise="`store` in `SIGNERT_HOME`", example="s3://agreements/production",
    )  # fmt: skip
    s3_endpoint = _text(
        "another S3 server than AWS's, without password: credentials come by AWS's usual chain",
        otherwise="AWS's own", example="https://s3.example.no",
    )  # fmt: skip
    s3_region = fields.String(
        load_default=None, validate=validate.Length(min=1),
        metadata=_told("region of the bucket", otherwise="AWS's own", example="eu-north-1"),
    )  # fmt: skip
    s3_lock = _choice(
        None, ["governance", "compliance"], "Object Lock mode for what is retained", example="compliance"
    )
    retention_days = _number(
        0, 0, 365 * 100,
        "how long log entries, signed documents, reports and receipts are retained; 0: no lock",
        unit="days", example="3650",
    )  # fmt: skip
    pseudonym_key_file = _file(
        "key by which index and access log know people; all processes share it, and it is kept as long as the store",
        otherwise="made in `SIGNERT_HOME`; needed in production", example="/secrets/pseudonym.key", secret=True,
    )  # fmt: skip


class Queue(Schema):
    """Broker and commands"""

    broker = fields.String(
        load_default=EMBEDDED_BROKER,
        metadata=_told(
            "`amqps://user@host/vhost` (RabbitMQ), `rediss://…` (Valkey, Redis), several with `;` between; `embedded` "
            "is Valkey in the data folder, for development only",
            example="amqps://signert@rabbitmq:5671/signert",
        ),
    )  # fmt: skip
    broker_password_file = _file(
        "file with the password of the user in `SIGNERT_BROKER`", example="/secrets/broker-password", secret=True
    )  # fmt: skip
    broker_ca = _file(
        "authorities that may vouch for the broker (PEM); with TLS, certificate and host name are always checked",
        otherwise="the system's", example="/etc/signert/broker-ca.pem",
    )  # fmt: skip
    broker_certificate = _file(
        "our own certificate, where the broker asks for one (PEM)", example="/secrets/broker.pem"
    )
    broker_key = _file("its key (PEM)", example="/secrets/broker-key.pem", secret=True)
    abandoned_after = _number(
        300, 5, 3600,
        "after how long work that nobody finished counts as left behind by a crash; on Valkey and Redis also when a "
        "message comes again",
        unit="seconds", example="300",
    )  # fmt: skip
    producers = _file(
        "who may send commands, with their public keys ([format](integration.md))",
        otherwise="whoever reaches the broker", example="/etc/signert/producers.toml",
    )  # fmt: skip
    signed_commands = _choice(
        "required", ["required", "optional"],
        "with `SIGNERT_PRODUCERS`: `optional` also takes unsigned commands", example="required",
    )  # fmt: skip
    command_max_age = _number(
        86_400, 60, 30 * 86_400, "for how long a signed command may have been on its way",
        unit="seconds", example="86400",
    )  # fmt: skip


class Worker(Schema):
    """Workers"""

    capabilities = fields.List(
        fields.Enum(Capability, by_value=True), load_default=list(Capability),
        metadata=_told("what this worker may do; `none` for one that does none of it", example="render"),
    )  # fmt: skip
    concurrency = fields.Integer(
        load_default=lambda: os.cpu_count() or 1, validate=validate.Range(1, 64),
        metadata=_told(
            "worker processes, each with a LibreOffice of its own", otherwise="number of cores", unit="processes",
            example="2",
        ),
    )  # fmt: skip
    shutdown_grace = _number(
        25, 1, 3600,
        "what work under way has to end after SIGTERM, before it is handed back; some seconds less than "
        "`terminationGracePeriodSeconds`",
        unit="seconds", example="25",
    )  # fmt: skip
    management_port = _number(
        0, 0, 65535, "port of `/livez`, `/readyz` and `/metrics`; 0: none", unit="TCP port", example="9100"
    )
    management_host = fields.IP(
        load_default="127.0.0.1",
        metadata=_told(
            "address it listens on; `0.0.0.0` or `::` for a platform that asks from outside. There is neither TLS nor "
            "login: let a network policy say who reaches it",
            example="::",
        ),
    )  # fmt: skip
    stalled_after = _number(
        90, 3, 3600,
        "how long a worker may take nothing off the queue, although the broker answers and messages wait, before "
        "`/livez` says 503; less than 40 is too little for a worker that comes back after a broker",
        unit="seconds", example="90",
    )  # fmt: skip


class Documents(Schema):
    """Templates and rendering"""

    templates = _Path(
        load_default=_ROOT / "templates",
        metadata=_told(
            "the template catalogue", otherwise="`templates/` of this tree", example="/etc/signert/templates"
        ),
    )
    render_timeout = _number(60, 1, 600, "for one document", unit="seconds", example="60")
    soffice = _Path(
        load_default=Path("/usr/bin/soffice"), metadata=_told("LibreOffice", example="/usr/bin/soffice")
    )
    uno_python = _Path(
        load_default=Path("/usr/bin/python3"),
        metadata=_told("the Python that has LibreOffice's `uno` module", example="/usr/bin/python3"),
    )
    font = _Path(
        load_default=_CARLITO / "Carlito-Regular.ttf",
        metadata=_told(
            "font of visible signatures (TrueType)", otherwise="Carlito", example="/fonts/Text.ttf"
        ),
    )
    bold_font = _Path(
        load_default=_CARLITO / "Carlito-Bold.ttf",
        metadata=_told("its bold one", otherwise="Carlito Bold", example="/fonts/Text-Bold.ttf"),
    )


class Keys(Schema):
    """Keys and signatures"""

    seal = _text(
        "the organisation's key: `pkcs12:/file.p12?passphrase-file=/file`, "
        "`pkcs11:token=…;object=…?module-path=…&pin-source=…` (HSM), `csc:/file.toml` (remote signing service)",
        otherwise="development PKI; needed in production by who signs",
        example="pkcs12:/secrets/seal.p12?passphrase-file=/secrets/seal",
    )  # fmt: skip
    for _role in ROLES:
        locals()[f"credential_{_role}"] = _text(
            f"key of the party `{_role}`, where the service reaches it; without one it signs [outside](signing.md)",
            otherwise="development PKI; none in production", example=f"csc:/etc/signert/{_role}.toml",
        )  # fmt: skip
    del _role
    approval = _choice(
        None, ["automatic", "command"],
        "whether a party's key signs when it is the party's turn, or when the command `sign` says so",
        otherwise="`automatic`; `command` in production", example="command",
    )  # fmt: skip


class Trust(Schema):
    """Timestamps, trust and proof"""

    tsa = fields.List(
        fields.Url(schemes={"http", "https"}, require_tld=False), load_default=list,
        metadata=_told(
            "time-stamping authorities (RFC 3161), tried in order",
            otherwise="development PKI; needed in production by who signs",
            example="https://tsa.example.no,https://tsa.example.com",
        ),
    )  # fmt: skip
    tsa_policy = fields.String(
        load_default=None, validate=validate.Regexp(_OID, error="must be an OID, as 1.2.3"),
        metadata=_told(
            "policy (object identifier) that timestamps are asked for and have to be under",
            otherwise="each authority's own", example="0.4.0.2023.1.1",
        ),
    )  # fmt: skip
    revocation_grace = fields.TimeDelta(
        load_default=timedelta(), validate=validate.Range(timedelta(), timedelta(days=7)),
        metadata=_told(
            "how long after the last signature evidence about revocation must be from, before a document is closed",
            otherwise="`0`", unit="seconds", example="3600",
        ),
    )  # fmt: skip
    revocation_max_age = fields.TimeDelta(
        load_default=None, validate=validate.Range(timedelta(minutes=5), timedelta(days=366)),
        metadata=_told(
            "greatest age of evidence about a signer's or time-stamping authority's own certificate",
            otherwise="as issuers say", unit="seconds", example="86400",
        ),
    )  # fmt: skip
    trust = _files(
        "trust anchors of the seal, and of all for which no list follows; PEM or DER files, folders or EU trusted "
        "lists",
        otherwise="development PKI; needed in production", example="/etc/signert/anchors,/etc/signert/no-tl.xml",
    )  # fmt: skip
    for _list in TRUST_LISTS:
        locals()[f"trust_{_list}"] = _files(
            "other anchors for timestamps"
            if _list == "timestamps"
            else f"other anchors for parties whose key is at `{_list}:` ([whom to trust](signing.md#whom-to-trust))"
            if _list != KeyPlace.OUTSIDE
            else "other anchors for parties who sign outside ([whom to trust](signing.md#whom-to-trust))",
            otherwise="`SIGNERT_TRUST`", example=f"/etc/signert/{_list}-anchors.pem",
        )  # fmt: skip
    del _list
    trust_list_signers = _files(
        "certificates of those who sign the EU trusted lists among the anchors",
        otherwise="none: a list is trusted as any file is", example="/etc/signert/lotl-signers.pem",
    )  # fmt: skip
    algorithms = _file(
        "which algorithms are accepted, and until when ([the file](validation.md#algorithms))",
        otherwise="built in", example="/etc/signert/algorithms.toml",
    )  # fmt: skip
    renew_before_days = _number(
        365, 1, 3650,
        "how long before the end of what proves a version it is renewed, at the soonest after half of the time",
        unit="days", example="365",
    )  # fmt: skip


class FollowUp(Schema):
    """Follow-up and disposal"""

    follow_up_days = _number(
        7, 0, 90,
        "how long before its date a meeting, evaluation or commitment is told as due (versions taken in from then on)",
        unit="days", example="14",
    )  # fmt: skip
    unsigned_days = _number(
        90, 0, 3650,
        "how long after its end an agreement that was never signed by all comes on the disposal list",
        unit="days", example="90",
    )  # fmt: skip


class Mail(Schema):
    """Letters to the parties"""

    smtp = fields.String(
        load_default=None, validate=validate.Regexp(_SMTP, error=_SMTP_FORM),
        metadata=_told("mail server of the letters that tell parties of their copies", example="smtps://mail:465"),
    )  # fmt: skip
    smtp_user = _text("its user, where it asks for one", example="signert")
    smtp_password_file = _file(
        "file with that user's password", example="/secrets/smtp-password", secret=True
    )
    smtp_ca = _file(
        "authorities that may vouch for it (PEM)",
        otherwise="the system's",
        example="/etc/signert/mail-ca.pem",
    )
    mail_from = fields.Email(
        load_default=None, metadata=_told("sender of the letters", example="avtaler@example.no")
    )


class Http(Schema):
    """HTTP service"""

    public_url = fields.Url(
        load_default=None, schemes={"http", "https"}, require_tld=False,
        metadata=_told("address of the parties' page, for links", example="https://avtaler.example.no"),
    )  # fmt: skip
    issuers = _file(
        "whose tokens `signert serve` takes, and as whom ([TOML](http.md))",
        otherwise="none; needed in production", example="/etc/signert/issuers.toml",
    )  # fmt: skip
    login = _file(
        "how people log in to the parties' page ([TOML](pages.md))", example="/etc/signert/login.toml"
    )
    session_key_file = _file(
        "keys that sessions are encrypted with, one a line, newest first ([how to make one](pages.md))",
        otherwise="made in `SIGNERT_HOME`; needed in production with `SIGNERT_LOGIN`", example="/secrets/session.keys",
        secret=True,
    )  # fmt: skip
    verify_max_mb = _number(25, 1, 200, "the largest PDF that is taken on `/verify`", unit="MB", example="50")
    http_proxies = _number(
        0, 0, 5, "how many proxies stand before it, whose `X-Forwarded-…` are believed",
        unit="proxies", example="1",
    )  # fmt: skip
    http_rate = _rate(
        "300/minute", "requests that one reader may make", unit="requests", example="600/minute"
    )
    http_address_rate = _rate(
        "1200/minute", "requests that may come from one address", unit="requests", example="3000/minute"
    )
    http_rate_store = fields.String(
        load_default=PROCESS_MEMORY,
        validate=validate.Regexp(_RATE_STORE, error="must be memory://, redis://… or rediss://…"),
        metadata=_told(
            "where they are counted: `memory://` is each process by itself", example="rediss://valkey:6379/1"
        ),
    )
    http_rate_store_password_file = _file(
        "file with that server's password", example="/secrets/rate-store-password", secret=True
    )
    http_link_seconds = _number(
        60, 0, 3600, "for how long a link into the store is good; 0: no links", unit="seconds", example="60"
    )


SECTIONS: Final = (General, Store, Queue, Worker, Documents, Keys, Trust, FollowUp, Mail, Http)
