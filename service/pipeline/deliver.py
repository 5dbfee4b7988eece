"""When all have signed, each party gets its copy: a link to its page, in the event and by e-mail.

The letter says that there is a document, and where: no name, nothing of what was agreed, for others may read along. One
that was sent and whose answer was lost, or whose entry a crash kept from the log, is sent again with the same
Message-ID, by which mail systems know it again.
"""

from __future__ import annotations

import html
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Protocol

from service.domain.agreement import Agreement, Channel, CopyOutcome, Version
from service.domain.delivery import pending_copy, planned_copies, retry_after
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.steps import Step
from service.errors import MailRefused, MailUnavailable, NotFound
from service.pipeline.services import Services

__all__ = ["Mailer", "copies_of", "deliver_copy", "letter"]

_NAMESPACE: Final = uuid.UUID("0d7cf3a4-5b57-5f0c-8a43-6f0e2bb5f3a1")


class Mailer(Protocol):
    """What sends e-mail."""

    def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand the letter over; returns when a server has taken it.

        Raises `MailRefused` when that recipient will not have it, and `MailUnavailable` when it may be tried later.
        """


@dataclass(frozen=True)
class _Words:
    subject: str
    title: str
    lines: tuple[str, ...]
    link: str


_WORDS: Final[Mapping[str, _Words]] = {
    "nb": _Words(
        "Du har fått et dokument",
        "Du har fått et dokument",
        (
            "Et dokument som du er part i, er ferdig signert. Kopien din ligger klar.",
            "Du må logge inn for å lese det. Ikke svar på denne meldingen.",
        ),
        "Les dokumentet",
    ),
    "nn": _Words(
        "Du har fått eit dokument",
        "Du har fått eit dokument",
        (
            "Eit dokument som du er part i, er ferdig signert. Kopien din ligg klar.",
            "Du må logge inn for å lese det. Ikkje svar på denne meldinga.",
        ),
        "Les dokumentet",
    ),
    "en": _Words(
        "You have received a document",
        "You have received a document",
        (
            "A document that you are a party to has been signed by all. Your copy is ready.",
            "You have to log in to read it. Do not reply to this message.",
        ),
        "Read the document",
    ),
}


def copies_of(services: Services, agreement: Agreement) -> tuple[dict[str, Any], tuple[Occurrence, ...]]:
    """What the `signed` entry says of the parties' copies, and the event.

    Nothing where there is no page to read them on, or of a declaration: its reader gets it with the agreement.
    """
    policy = services.copies
    if policy is None or agreement.declares_for:
        return {}, ()
    data = services.ledger.get_json(agreement.id, agreement.current.input_sha256)
    copies = planned_copies(agreement.current, data, by_mail=policy.by_mail)
    told = {"link": policy.link(agreement.id), "copies": copies}
    return {"copies": copies}, (Occurrence("agreement.copy-available", told),)


def deliver_copy(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Send one party the link to its copy, and note what became of it; neither the address nor a server's words."""
    now = services.clock.now()
    found = pending_copy(agreement, timestamp(now))
    assert found is not None
    version, copy = found
    attempt = copy.attempts + 1
    told: dict[str, Any] = {"role": copy.role, "channel": Channel.MAIL}
    try:
        _send(services, agreement, version, copy.role)
    except MailRefused as exc:
        return _failed(version, told, attempt, exc.code, f"{exc.message}. {exc.remedy}")
    except MailUnavailable as exc:
        again = retry_after(attempt, now)
        if again is None:
            return _failed(version, told, attempt, exc.code, f"{exc.message}. {exc.remedy}")
        tried = {**told, "outcome": CopyOutcome.POSTPONED, "attempt": attempt, "code": exc.code}
        return Draft("copy-delivered", {**tried, "next_at": timestamp(again)}, version=version.number)
    done = {**told, "outcome": CopyOutcome.SENT, "attempt": attempt}
    return Draft("copy-delivered", done, (Occurrence("agreement.delivered", told),), version.number)


def _failed(version: Version, told: Mapping[str, Any], attempt: int, code: str, message: str) -> Draft:
    failed = Occurrence("agreement.delivery-failed", {**told, "code": code, "message": message})
    said = {**told, "outcome": CopyOutcome.FAILED, "attempt": attempt, "code": code}
    return Draft("copy-delivered", said, (failed,), version.number)


def _send(services: Services, agreement: Agreement, version: Version, role: str) -> None:
    policy = services.copies
    if policy is None or policy.sender is None:
        raise MailUnavailable(
            "e-mail is not set up any more",
            code="mail_off",
            remedy="Set SIGNERT_SMTP and SIGNERT_PUBLIC_URL.",
        )
    try:
        data = services.ledger.get_json(agreement.id, version.input_sha256)
    except NotFound:
        data = {"parties": {}}
    address = data["parties"].get(role, {}).get("email")
    if not address:
        raise MailRefused(
            "the party's address is erased", code="no_address", remedy="Tell the party otherwise."
        )
    languages = [version.language, *([courtesy] if (courtesy := data.get("courtesy_translation")) else [])]
    message = letter(languages, policy.link(agreement.id), sender=policy.sender, recipient=address)
    message["Date"] = format_datetime(services.clock.now())
    domain = policy.sender.rpartition("@")[2]
    message["Message-ID"] = f"<{uuid.uuid5(_NAMESPACE, f'{agreement.id}/{version.number}/{role}')}@{domain}>"
    services.mailer.send(message, sender=policy.sender, recipient=address)


def letter(languages: list[str], link: str, *, sender: str, recipient: str) -> EmailMessage:
    """The letter in these languages, one below the other, as plain text and as HTML with the same words."""
    parts = [(language, _WORDS[language]) for language in languages]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = parts[0][1].subject
    message["Auto-Submitted"] = "auto-generated"
    texts = ["\n\n".join([*words.lines, f"{words.link}:\n{link}"]) for _, words in parts]
    message.set_content("\n\n--\n\n".join(texts) + "\n", cte="quoted-printable")
    sections = "\n".join(_section(language, words, link) for language, words in parts)
    page = (
        f'<!DOCTYPE html>\n<html lang="{parts[0][0]}">\n<head><meta charset="utf-8">'
        f"<title>{html.escape(parts[0][1].title)}</title></head>\n"
        f'<body style="font-family: sans-serif; font-size: 1rem; line-height: 1.5">\n{sections}\n</body>\n</html>\n'
    )
    message.add_alternative(page, subtype="html", cte="quoted-printable")
    message["Content-Language"] = ", ".join(languages)
    return message


def _section(language: str, words: _Words, link: str) -> str:
    lines = "\n".join(f"<p>{html.escape(line)}</p>" for line in words.lines)
    address = html.escape(link, quote=True)
    return (
        f'<section lang="{language}">\n<h1 style="font-size: 1.25rem">{html.escape(words.title)}</h1>\n{lines}\n'
        f'<p><a href="{address}">{html.escape(words.link)}</a></p>\n</section>'
    )
