"""The services of the pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from service.bootstrap.keys import open_keys, sender_policy
from service.bootstrap.people import open_pseudonyms
from service.bootstrap.stores import open_store, system_clock
from service.bootstrap.templates import open_catalogue, typesetting
from service.config import Settings
from service.domain.paper import ScanFault
from service.domain.ports import Publisher, Signals
from service.domain.signals import SILENT
from service.domain.steps import Capability
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.pipeline.deliver import Mailer
    from service.pipeline.services import Services

__all__ = ["open_services"]

HandOver = Callable[[Capability, str, str], None]


def _inspect_scan(body: bytes, media_type: str) -> ScanFault | None:
    from service.adapters import scans

    return scans.inspect(body, media_type)


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


@contextlib.contextmanager
def open_services(
    settings: Settings, *, publisher: Publisher, hand_over: HandOver, signals: Signals = SILENT
) -> Iterator[Services]:
    """The pipeline's services. LibreOffice, keys and the development PKI are opened when first needed.

    Everything that was opened is closed with the context. Raises `ConfigurationError`.
    """
    from service.pipeline.services import CopyPolicy, Services

    with contextlib.ExitStack() as stack:
        can = settings.capabilities
        yield Services(
            store=open_store(settings, signals),
            clock=system_clock(),
            publisher=publisher,
            templates=open_catalogue(settings),
            hand_over=hand_over,
            open_typesetting=(lambda: typesetting(settings, stack, signals))
            if Capability.RENDER in can
            else None,
            open_keys=(lambda: open_keys(settings, stack, signals)) if Capability.SIGN in can else None,
            retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
            senders=sender_policy(settings),
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
            signals=signals,
        )
