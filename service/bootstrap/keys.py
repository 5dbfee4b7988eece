"""Keys, time-stamping authorities and trust anchors; who may send commands."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.bootstrap.stores import system_clock
from service.config import Settings
from service.domain.agreement import SEAL, KeyPlace
from service.domain.ports import Signals
from service.domain.signals import SILENT, TIMESTAMP_RESTS, TIMESTAMP_RETRIES, TIMESTAMP_TIME

if TYPE_CHECKING:
    from service.pipeline.senders import SenderPolicy
    from service.pipeline.services import Keys
    from signing import Credential, TimestampAttempt, TrustStore

__all__ = ["open_keys", "open_trust", "read_certificates", "sender_policy", "sign_command"]


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


def open_keys(settings: Settings, stack: contextlib.ExitStack, signals: Signals = SILENT) -> Keys:
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

    def asked(attempt: TimestampAttempt) -> None:
        signals.observe(TIMESTAMP_TIME, attempt.seconds, attempt.url, attempt.outcome)
        signals.set(TIMESTAMP_RESTS, float(attempt.state == "open"), attempt.url)
        if attempt.goes_on:
            signals.count(TIMESTAMP_RETRIES, attempt.url)

    return Keys(
        credential=credential,
        timestamps=stack.enter_context(
            contextlib.closing(
                TimestampClient(tsa, trust=trust, policy=settings.tsa_policy, on_attempt=asked)
            )
        ),
        evidence=stack.enter_context(
            contextlib.closing(EvidenceCollector(max_age=settings.revocation_max_age))
        ),
        trust=trust,
        font=settings.font,
        bold_font=settings.bold_font,
    )


def sender_policy(settings: Settings) -> SenderPolicy:
    from service.pipeline.senders import SenderPolicy

    if settings.producers is None:
        return SenderPolicy()
    from service.adapters.producers import ProducerKeys

    return SenderPolicy(
        ProducerKeys.load(settings.producers),
        required=settings.signed_commands == "required",
        max_age=timedelta(seconds=settings.command_max_age),
    )


def sign_command(name: str, payload: Mapping[str, object], *, producer: str, key: Path) -> str:
    """The signature of a command, as its producer makes it now. Raises `ConfigurationError` for an unfit key."""
    from service.adapters import producers

    return producers.sign_command(name, payload, producer=producer, key=key, at=system_clock().now())


def read_certificates(path: Path) -> Sequence[bytes]:
    """The certificates of a PEM file, as DER. Raises `SigningError`."""
    from signing import load_certificates

    return load_certificates(path)
