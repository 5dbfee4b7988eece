"""The composition root: the only place where adapters are made and joined to the pipeline.

    with open_services(load_settings(), publisher=…, hand_over=…) as services:
        drive(services, receive(services, "submit", command))

Adapters are imported where they are made: `signert show` must not wait for what only a worker needs.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.adapters.directory import DirectoryStore
from service.config import S3Location, Settings
from service.domain.agreement import SEAL, KeyPlace
from service.domain.paper import ScanFault
from service.domain.ports import Clock, ObjectStore, Publisher
from service.domain.steps import Capability
from service.domain.template import Template
from service.domain.template_diff import Change, WordVersion
from service.transport import Broker

if TYPE_CHECKING:
    from service.adapters.s3 import S3Store
    from service.adapters.templates import Catalogue
    from service.adapters.templates.checks import Tools
    from service.adapters.templates.workshop import Workshop
    from service.pipeline.preview import Preview
    from service.pipeline.senders import SenderPolicy
    from service.pipeline.services import Keys, Services, Typesetting
    from signing import Credential, TrustStore

__all__ = [
    "check_store",
    "compare_templates",
    "event_file",
    "event_publisher",
    "open_broker",
    "open_catalogue",
    "open_checks",
    "open_preview",
    "open_services",
    "open_store",
    "open_trust",
    "open_workshop",
    "page_pictures",
    "read_certificates",
    "shown_places",
    "sign_command",
    "start_template",
    "system_clock",
]

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
    return Typesetting(fill=docx.fill, office=stack.enter_context(office), pdf=pdf)


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


def read_certificates(path: Path) -> Sequence[bytes]:
    """The certificates of a PEM file, as DER. Raises `SigningError`."""
    from signing import load_certificates

    return load_certificates(path)


def sign_command(name: str, payload: Mapping[str, object], *, producer: str, key: Path) -> str:
    """The signature of a command, as its producer makes it now. Raises `ConfigurationError` for an unfit key."""
    from service.adapters import producers

    return producers.sign_command(name, payload, producer=producer, key=key, at=system_clock().now())


@contextlib.contextmanager
def open_services(settings: Settings, *, publisher: Publisher, hand_over: HandOver) -> Iterator[Services]:
    """The pipeline's services. LibreOffice, keys and the development PKI are opened when first needed.

    Everything that was opened is closed with the context. Raises `ConfigurationError`.
    """
    from service.pipeline.services import Services

    with contextlib.ExitStack() as stack:

        def open_keys() -> Keys:
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
                timestamps=stack.enter_context(contextlib.closing(TimestampClient(tsa, trust=trust))),
                evidence=stack.enter_context(contextlib.closing(EvidenceCollector())),
                trust=trust,
                font=settings.font,
                bold_font=settings.bold_font,
            )

        can = settings.capabilities
        yield Services(
            store=open_store(settings),
            clock=system_clock(),
            publisher=publisher,
            templates=open_catalogue(settings),
            hand_over=hand_over,
            open_typesetting=(lambda: _typesetting(settings, stack)) if Capability.RENDER in can else None,
            open_keys=open_keys if Capability.SIGN in can else None,
            retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
            senders=_sender_policy(settings),
            sign_automatically=settings.approval == "automatic",
            inspect_scan=_inspect_scan,
            follow_up_days=settings.follow_up_days,
            abandoned_after=timedelta(seconds=settings.abandoned_after),
        )
