"""The composition root: the only place where adapters are made and joined to the pipeline.

    with open_services(load_settings(), publisher=…, hand_over=…) as services:
        drive(services, receive(services, "submit", command))

Adapters are imported where they are made: `signert show` must not wait for what only a worker needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.adapters.directory import DirectoryStore
from service.config import S3Location, Settings
from service.domain.agreement import SEAL
from service.domain.paper import ScanFault
from service.domain.ports import Clock, ObjectStore, Publisher
from service.domain.steps import Capability
from service.domain.template import Finding
from service.transport import Broker

if TYPE_CHECKING:
    from service.adapters.s3 import S3Store
    from service.adapters.templates import Catalogue
    from service.pipeline.senders import SenderPolicy
    from service.pipeline.services import Keys, Services, Typesetting
    from signing import Credential, TrustStore

__all__ = [
    "check_store",
    "check_template",
    "event_file",
    "event_publisher",
    "open_broker",
    "open_catalogue",
    "open_services",
    "open_store",
    "open_trust",
    "read_certificates",
    "sign_command",
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


def check_template(catalogue: Catalogue, name: str, version: str) -> Sequence[Finding]:
    """What is wrong with one template version; empty when nothing is. Raises `TemplateError` when unknown."""
    from service.adapters import docx

    return catalogue.check(name, version, word=docx)


def _devpki_folder(settings: Settings) -> Path:
    return settings.home / "devpki"


def open_trust(settings: Settings) -> TrustStore:
    """The trust anchors of the settings, or of the development PKI where it exists."""
    from signing import TrustStore

    if not settings.development_pki:
        return TrustStore.from_pem(*settings.trust)
    root = _devpki_folder(settings) / "root.pem"
    return TrustStore.from_pem(*([root] if root.exists() else []))


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

        def open_typesetting() -> Typesetting:
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
            open_typesetting=open_typesetting if Capability.RENDER in can else None,
            open_keys=open_keys if Capability.SIGN in can else None,
            retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
            senders=_sender_policy(settings),
            sign_automatically=settings.approval == "automatic",
            inspect_scan=_inspect_scan,
            abandoned_after=timedelta(seconds=settings.abandoned_after),
        )
