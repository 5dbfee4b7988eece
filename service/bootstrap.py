"""The composition root: the only place where adapters are made and joined to the pipeline.

    with open_services(load_settings(), publisher=…, hand_over=…) as services:
        drive(services, receive(services, "submit", command))

Adapters are imported where they are made: `signert show` must not wait for what only a worker needs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.adapters.directory import DirectoryStore
from service.config import PRODUCTION, S3Location, Settings
from service.domain.agreement import SEAL, KeyPlace
from service.domain.paper import ScanFault
from service.domain.ports import Clock, ObjectStore, Publisher
from service.domain.pseudonyms import MIN_KEY, Pseudonyms
from service.domain.steps import Capability
from service.domain.tagged_text import Block
from service.domain.template import Finding, Template
from service.domain.template_diff import Change, WordVersion
from service.errors import AlreadyExists, ConfigurationError, RenderFailed
from service.transport import Broker

if TYPE_CHECKING:
    from service.adapters.archive import Package, SipWriter
    from service.adapters.s3 import S3Store
    from service.adapters.templates import Catalogue
    from service.adapters.templates.checks import Tools
    from service.adapters.templates.workshop import Workshop
    from service.adapters.tokens import Tokens
    from service.adapters.tokens.login import LoginProvider
    from service.pipeline import doctor
    from service.pipeline.deliver import Mailer
    from service.pipeline.preview import Preview
    from service.pipeline.senders import SenderPolicy
    from service.pipeline.services import Keys, Services, Typesetting
    from signing import Credential, TrustStore, ValidationReport

__all__ = [
    "check_store",
    "compare_pages",
    "compare_templates",
    "event_file",
    "event_publisher",
    "needed_pseudonyms",
    "open_broker",
    "open_catalogue",
    "open_checks",
    "open_checkup",
    "open_login",
    "open_packages",
    "open_preview",
    "open_pseudonyms",
    "open_services",
    "open_store",
    "open_tokens",
    "open_trust",
    "open_workshop",
    "package_writer",
    "page_pictures",
    "read_certificates",
    "read_structure",
    "session_keys",
    "shown_places",
    "sign_command",
    "start_template",
    "system_clock",
]

_SESSION_KEY_BYTES = 32
HandOver = Callable[[Capability, str, str], None]


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def system_clock() -> Clock:
    return _SystemClock()


def open_store(settings: Settings) -> ObjectStore:
    return (
        _open_s3(settings.store) if isinstance(settings.store, S3Location) else DirectoryStore(settings.store)
    )


def check_store(settings: Settings) -> None:
    """Refuse a store that agreements would not be safe in: for a worker, once, before its first task.

    Raises `ConfigurationError` when the store is not fit, `StoreError` when it cannot be reached.
    """
    if isinstance(settings.store, S3Location):
        _open_s3(settings.store).check()


def _open_s3(place: S3Location) -> S3Store:
    from service.adapters.s3 import S3Store

    return S3Store(place.bucket, place.prefix, endpoint=place.endpoint, region=place.region, lock=place.lock)


def open_catalogue(settings: Settings) -> Catalogue:
    from service.adapters.templates import Catalogue

    return Catalogue(settings.templates)


def open_workshop(settings: Settings) -> Workshop:
    """The catalogue with the tools of its authors."""
    from service.adapters.templates.workshop import Workshop

    return Workshop(settings.templates)


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


def read_structure(pdf: bytes) -> Sequence[Block]:
    """A tagged PDF as headings, paragraphs, lists and tables. Raises `RenderFailed`."""
    from service.adapters.pdf import structure

    return structure(pdf)


def package_writer(folder: Path, *, tar: bool, creator: tuple[str, str] | None) -> SipWriter:
    """Writes archive packages to `folder`; `creator` is the archive creator's id and name."""
    from service.adapters.archive import Creator, SipWriter

    return SipWriter(folder, tar=tar, creator=Creator(*creator) if creator else None)


def open_packages(paths: Sequence[Path]) -> list[tuple[Path, Callable[[], Package]]]:
    """The archive packages at these paths, and what opens and checks each. Raises `PackageRefused`."""
    from service.adapters.archive import find_packages, open_package

    return [(path, partial(open_package, path)) for given in paths for path in find_packages(given)]


@contextlib.contextmanager
def open_broker(settings: Settings) -> Iterator[Broker]:
    """The broker. The embedded one runs at least as long as this context."""
    if settings.broker:
        yield settings.broker
        return
    from service.adapters.broker import EmbeddedBroker

    with EmbeddedBroker(settings.home / "broker") as url:
        yield Broker(url, lease=settings.abandoned_after)


def event_file(settings: Settings) -> Publisher:
    """Where events go when there is no broker."""
    from service.adapters.events import EventFile

    return EventFile(settings.home / "events.jsonl")


@contextlib.contextmanager
def event_publisher(broker: Broker) -> Iterator[Publisher]:
    from service.adapters.events import EventPublisher

    publisher = EventPublisher(broker)
    try:
        yield publisher
    finally:
        publisher.close()


def start_template(
    settings: Settings, name: str, *, source: tuple[str, str] | None, version: str | None
) -> tuple[Path, tuple[str, str], tuple[str, str] | None]:
    """A new draft in the catalogue: its folder, its name and version, and what it is a copy of."""
    from service.adapters import docx

    return open_workshop(settings).start(name, compose=docx.compose, source=source, version=version)


@contextlib.contextmanager
def open_checks(settings: Settings, *, render: bool) -> Iterator[Tools]:
    """What templates are checked with; with `render`, one LibreOffice for as long as this context."""
    from service.adapters import docx
    from service.adapters.fontconfig import installed_font
    from service.adapters.templates.checks import Tools

    with contextlib.ExitStack() as stack:
        make = stack.enter_context(open_preview(settings)) if render else None
        yield Tools(
            docx, installed_font, (lambda template, data: make(template, data).lost) if make else None
        )


@contextlib.contextmanager
def open_preview(settings: Settings) -> Iterator[Callable[[Template, Mapping[str, Any]], Preview]]:
    """Makes previews, with one LibreOffice for as long as this context."""
    from service.pipeline.preview import preview

    with contextlib.ExitStack() as stack:
        tools = cache(lambda: _typesetting(settings, stack))
        yield lambda template, data: preview(tools(), template, data, created=system_clock().now())


def shown_places(pdf: bytes) -> bytes:
    """The PDF with a frame in each place for a signature."""
    from service.adapters.pdf import show_places

    return show_places(pdf)


def page_pictures(pdf: bytes, *, dots_per_inch: int) -> Sequence[bytes]:
    """A PNG of each page. Raises `ConfigurationError` (`tool_missing`)."""
    from service.adapters.pdf import page_pictures

    return page_pictures(pdf, dots_per_inch=dots_per_inch)


def compare_pages(
    document: bytes, report: ValidationReport, *, most_pages: int = 5_000, seconds: int = 300
) -> ValidationReport:
    """The report with what the pages look like in all signed revisions; as it was, where they cannot be drawn here.

    That is so without poppler, for a file that it cannot draw, or not in so many seconds a revision, and for one with
    more than `most_pages` in all its revisions.
    """
    from service.adapters.pdf import can_rasterize, rasterize
    from signing import compare_rendered

    if not can_rasterize():
        return report
    with contextlib.suppress(RenderFailed):
        draw = partial(rasterize, seconds=seconds)
        return compare_rendered(document, report, draw, most_pages=most_pages)
    return report


def compare_templates(
    workshop: Workshop, name: str, old: str, new: str, language: str | None
) -> Sequence[Change]:
    """What is different between two versions, in all languages or in one. Raises `TemplateError`."""
    from service.adapters import docx

    def read(body: bytes) -> WordVersion:
        return WordVersion(hashlib.sha256(body).hexdigest(), docx.paragraphs(body), docx.variables(body))

    return workshop.compare(name, old, new, read=read, language=language)


def _typesetting(settings: Settings, stack: contextlib.ExitStack) -> Typesetting:
    """What turns data into a PDF; LibreOffice is ended with the stack."""
    from service.adapters import docx, pdf
    from service.adapters.office import Office, OfficeSettings
    from service.pipeline.services import Typesetting

    office = Office(
        OfficeSettings(
            soffice=settings.soffice,
            uno_python=settings.uno_python,
            timeout_seconds=settings.render_timeout,
        )
    )
    return Typesetting(fill=docx.fill, own_text=docx.own_text, office=stack.enter_context(office), pdf=pdf)


def _devpki_folder(settings: Settings) -> Path:
    return settings.home / "devpki"


def open_trust(settings: Settings, paths: Sequence[Path] = ()) -> TrustStore:
    """The trust anchors in these files and folders; without any, of the settings, or of the development PKI where it
    exists.

    There is a list for the seal, for each place of keys and for timestamps: its own, where the settings name one. With
    them come the algorithms that are accepted. Raises `SigningError` for a file that cannot be used.
    """
    from signing import TIMESTAMPS, AlgorithmPolicy, TrustStore

    signers, algorithms = settings.trust_list_signers, AlgorithmPolicy.load(settings.algorithms)
    if paths:
        return TrustStore.from_files(*paths, list_signers=signers).accepting(algorithms)
    paths = settings.trust
    if settings.development_pki:
        root = _devpki_folder(settings) / "root.pem"
        paths = [root] if root.exists() else []
    common = TrustStore.from_files(*paths, list_signers=signers)
    own = {
        name: TrustStore.from_files(*each, list_signers=signers)
        for name, each in settings.trust_lists.items()
    }
    lists = {name: own.get(name, common).of(name) for name in (SEAL, *KeyPlace, TIMESTAMPS)}
    return TrustStore.from_lists(lists).accepting(algorithms)


def _inspect_scan(body: bytes, media_type: str) -> ScanFault | None:
    from service.adapters import scans

    return scans.inspect(body, media_type)


def _sender_policy(settings: Settings) -> SenderPolicy:
    from service.pipeline.senders import SenderPolicy

    if settings.producers is None:
        return SenderPolicy()
    from service.adapters.producers import ProducerKeys

    return SenderPolicy(
        ProducerKeys.load(settings.producers),
        required=settings.signed_commands == "required",
        max_age=timedelta(seconds=settings.command_max_age),
    )


def _mailer(settings: Settings) -> Mailer:
    from service.adapters.mail import Smtp

    if settings.smtp is None:
        raise ConfigurationError("there is no mail server", remedy="Set SIGNERT_SMTP.")
    password = None
    if settings.smtp_password_file:
        try:
            password = settings.smtp_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(
                f"SIGNERT_SMTP_PASSWORD_FILE: {settings.smtp_password_file} cannot be read",
                remedy="Name a file with the password.",
            ) from None
    return Smtp(settings.smtp, user=settings.smtp_user, password=password, ca=settings.smtp_ca)


def read_certificates(path: Path) -> Sequence[bytes]:
    """The certificates of a PEM file, as DER. Raises `SigningError`."""
    from signing import load_certificates

    return load_certificates(path)


def sign_command(name: str, payload: Mapping[str, object], *, producer: str, key: Path) -> str:
    """The signature of a command, as its producer makes it now. Raises `ConfigurationError` for an unfit key."""
    from service.adapters import producers

    return producers.sign_command(name, payload, producer=producer, key=key, at=system_clock().now())


@contextlib.contextmanager
def open_checkup(settings: Settings) -> Iterator[list[tuple[str, doctor.Check]]]:
    """What `signert doctor` checks of these settings but for the broker, by name; nothing is done before the call."""
    from service.adapters import docx
    from service.adapters.fontconfig import installed_font
    from service.adapters.templates.checks.appearance import check_fonts
    from service.pipeline import doctor

    catalogue, clock = open_workshop(settings), system_clock()

    def newest() -> list[Template]:
        found = {m.name: m for m in catalogue.list() if m.kind != "receipt"}
        return [
            catalogue.get(m.name, m.version, language) for m in found.values() for language in m.languages
        ]

    def store() -> Iterator[doctor.Said]:
        check_store(settings)
        place = settings.store
        retained = bool(settings.retention_days) or any(m.retention for m in catalogue.list())
        locks = isinstance(place, S3Location) and place.lock is not None
        yield from doctor.check_store(open_store(settings), locks=locks, retained=retained)

    def templates() -> Iterator[doctor.Said]:
        versions = ((m.name, m.version, m.languages) for m in catalogue.list())
        yield from doctor.check_templates(versions, catalogue.get)

    def fonts() -> Iterator[doctor.Said]:
        def faults(template: Template) -> Iterator[Finding]:
            return check_fonts(f"{template.language}.docx", docx.looks(template.docx), installed_font)

        yield from doctor.check_fonts(newest(), faults)
        for path in (settings.font, settings.bold_font):
            yield doctor.file_readable(path, "Set SIGNERT_FONT and SIGNERT_BOLD_FONT to TrueType files.")

    with contextlib.ExitStack() as stack:
        keys = cache(lambda: _open_keys(settings, stack))

        def office() -> Iterator[doctor.Said]:
            make = stack.enter_context(open_preview(settings))
            template = next(t for t in newest() if t.manifest.kind == "agreement")
            sample = catalogue.example(template.name, template.version)
            yield from doctor.check_office(make, template, sample)

        checks: list[tuple[str, doctor.Check]] = [("store", store), ("templates", templates)]
        if Capability.RENDER in settings.capabilities:
            checks += [("fonts", fonts), ("office", office)]
        if Capability.SIGN in settings.capabilities:
            checks += [
                ("anchors", lambda: doctor.check_anchors(keys().trust, clock.now())),
                ("keys", lambda: doctor.check_keys(keys(), clock.now())),
                ("timestamps", lambda: doctor.check_timestamps(keys(), clock.now)),
            ]
        yield checks


def _open_keys(settings: Settings, stack: contextlib.ExitStack) -> Keys:
    """What makes signatures; connections and the development PKI are closed with the stack."""
    from service.pipeline.services import Keys
    from signing import EvidenceCollector, TimestampClient, open_credential

    addresses, tsa = settings.credentials, settings.tsa
    if settings.development_pki:
        from service.adapters import devpki

        pki = devpki.ensure(_devpki_folder(settings), environment=settings.env)
        stack.enter_context(devpki.DevPkiServer(pki, environment=settings.env))
        addresses, tsa = {**pki.credentials, SEAL: pki.seal}, (pki.tsa_url,)
    trust = open_trust(settings)

    @cache
    def credential(field: str) -> Credential | None:
        return open_credential(addresses[field]) if field in addresses else None

    return Keys(
        credential=credential,
        timestamps=stack.enter_context(
            contextlib.closing(TimestampClient(tsa, trust=trust, policy=settings.tsa_policy))
        ),
        evidence=stack.enter_context(
            contextlib.closing(EvidenceCollector(max_age=settings.revocation_max_age))
        ),
        trust=trust,
        font=settings.font,
        bold_font=settings.bold_font,
    )


@contextlib.contextmanager
def open_services(settings: Settings, *, publisher: Publisher, hand_over: HandOver) -> Iterator[Services]:
    """The pipeline's services. LibreOffice, keys and the development PKI are opened when first needed.

    Everything that was opened is closed with the context. Raises `ConfigurationError`.
    """
    from service.pipeline.services import CopyPolicy, Services

    with contextlib.ExitStack() as stack:
        can = settings.capabilities
        yield Services(
            store=open_store(settings),
            clock=system_clock(),
            publisher=publisher,
            templates=open_catalogue(settings),
            hand_over=hand_over,
            open_typesetting=(lambda: _typesetting(settings, stack)) if Capability.RENDER in can else None,
            open_keys=(lambda: _open_keys(settings, stack)) if Capability.SIGN in can else None,
            retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
            senders=_sender_policy(settings),
            sign_automatically=settings.approval == "automatic",
            inspect_scan=_inspect_scan,
            follow_up_days=settings.follow_up_days,
            unsigned_days=settings.unsigned_days,
            renew_before=timedelta(days=settings.renew_before_days),
            pseudonyms=open_pseudonyms(settings),
            copies=CopyPolicy(settings.public_url, settings.mail_from) if settings.public_url else None,
            open_mailer=(lambda: _mailer(settings)) if Capability.DELIVER in can else None,
            abandoned_after=timedelta(seconds=settings.abandoned_after),
            revocation_grace=settings.revocation_grace,
        )
