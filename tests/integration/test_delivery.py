"""Each party gets its copy: the letter at a real SMTP server, and what becomes of it when that does not take it."""

from __future__ import annotations

import copy
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.adapters.mail import Smtp
from service.adapters.templates import Catalogue
from service.domain.agreement import Agreement, Copy, CopyOutcome
from service.domain.folding import fold
from service.domain.log import Draft, Entry
from service.errors import MailRefused, MailUnavailable
from service.pipeline.deliver import copies_of, letter
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import CopyPolicy, Services
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from tests.fakes import EventList, ManualClock, MemoryStore

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())
SENDER = "ikke-svar@nav.example.no"
PARTICIPANT, EMPLOYER = "deltaker@example.no", "arbeidsgiver@example.no"


@dataclass
class Inbox:
    """An SMTP server's handler: `answers` are given to the letters in turn, then 250. None breaks the connection."""

    answers: list[str | None] = field(default_factory=list)
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return f"550 5.1.1 <{address}> unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.tls.append(session.ssl is not None)
        assert isinstance(envelope.content, bytes)
        self.letters.append(message_from_bytes(envelope.content, policy=policy.SMTP))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer is None:
            assert server.transport is not None
            server.transport.abort()
            return "250 never sent"
        return answer


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    yield Inbox()


@pytest.fixture
def address(inbox: Inbox) -> Iterator[str]:
    with listening(inbox) as found:
        yield found


class listening:  # noqa: N801 (used as a function)
    """The inbox's server on a free port of this machine, for as long as the context; its address."""

    def __init__(self, inbox: Inbox, **settings: Any) -> None:
        self._controller = Controller(inbox, hostname="127.0.0.1", port=_free_port(), **settings)

    def __enter__(self) -> str:
        self._controller.start()
        return f"smtp://127.0.0.1:{self._controller.port}"

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Desk:
    """An agreement that all have just signed, on services that do nothing but deliver."""

    services: Services
    clock: ManualClock
    events: EventList
    agreement_id: str = ""

    def sign(self, **changes: Any) -> None:
        """Everything up to the signed entry, without the documents."""
        content = copy.deepcopy(EXAMPLE) | {k: v for k, v in changes.items() if k != "parties"}
        content["parties"]["participant"] |= {"address_protection": "none", "email": PARTICIPANT}
        content["parties"]["employer"]["email"] = EMPLOYER
        content["parties"]["adviser"].pop("email", None)
        for role, more in changes.get("parties", {}).items():
            content["parties"][role] |= more
        marker = receive(self.services, "submit", {"command_id": str(uuid.uuid4()), "agreement": content})
        self.agreement_id = marker.agreement_id
        for party in ("participant", "employer", "adviser"):
            data = {"role": party, "signed_at": "2026-11-21T08:00:00Z", "by": None, "field": party}
            nothing = {"certificate_sha256": "0" * 64, "evidence_sha256": None, "key_place": "pkcs12"}
            self._append(
                Draft("party-signed", {**data, **nothing, "revision": {"sha256": "0" * 64, "bytes": 1}})
            )
        copies, told = copies_of(self.services, self.agreement)
        hashes = {"receipt_signature_sha256": "0" * 64, "receipt_pdf_sha256": "0" * 64}
        renewal = {
            "renew_by": "2035-01-01T00:00:00.000Z",
            "ends": "2036-01-01T00:00:00.000Z",
            "reason": "certificate",
        }
        self._append(Draft("signed", {**hashes, "renewal": renewal, **copies}, told))
        self.services.workbook.save(replace(marker, since=0))

    def _append(self, draft: Draft) -> None:
        self.services.ledger.append(self.agreement_id, self.agreement.head, draft, version=1)

    @property
    def agreement(self) -> Agreement:
        return fold(self.entries)

    @property
    def entries(self) -> list[Entry]:
        return self.services.ledger.read(self.agreement_id)

    @property
    def copies(self) -> dict[str, Copy]:
        return {copy.role: copy for copy in self.agreement.current.copies}

    def drive(self) -> None:
        (marker,) = self.services.workbook.of(self.agreement_id)
        assert drive(self.services, marker).rest is Rest.AT_REST

    def told(self, event_type: str) -> list[Any]:
        for event in self.events.events:
            assert not event_schema(str(event["type"])).validate(dict(event))
        return [event["data"] for event in self.events.events if event["type"] == event_type]


@pytest.fixture
def desk(address: str) -> Desk:
    return open_desk(address)


def open_desk(address: str, **smtp: Any) -> Desk:
    clock, events = ManualClock(datetime(2026, 11, 21, 9, 0, tzinfo=UTC)), EventList()
    services = Services(
        store=MemoryStore(),
        clock=clock,
        publisher=events,
        templates=Catalogue(ROOT / "templates"),
        hand_over=lambda *_: None,
        open_typesetting=None,
        open_keys=None,
        copies=CopyPolicy("https://avtaler.example.no/", SENDER),
        open_mailer=lambda: Smtp(address, **smtp),
    )
    return Desk(services, clock, events)


def test_each_party_with_an_address_is_sent_the_link_and_nothing_else(desk: Desk, inbox: Inbox) -> None:
    desk.sign()
    desk.drive()

    link = f"https://avtaler.example.no/avtale/{desk.agreement_id}"
    assert inbox.recipients == [PARTICIPANT, EMPLOYER]
    (available,) = desk.told("agreement.copy-available")
    assert available["link"] == link
    assert available["copies"] == [
        {"role": "participant", "channel": "mail"},
        {"role": "employer", "channel": "mail"},
        {"role": "adviser", "channel": "link"},
    ]
    assert [data["role"] for data in desk.told("agreement.delivered")] == ["participant", "employer"]
    first = inbox.letters[0]
    assert (first["To"], first["From"], first["Subject"]) == (PARTICIPANT, SENDER, "Du har fått et dokument")
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Date"] == "Sat, 21 Nov 2026 09:00:00 +0000"
    assert len({letter["Message-ID"] for letter in inbox.letters}) == 2
    plain, page = first.get_body(("plain",)), first.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert plain.get_content().count(link) == 1
    assert f'<a href="{link}">Les dokumentet</a>' in page.get_content()
    whole = first.as_string() + plain.get_content() + page.get_content()
    for party in EXAMPLE["parties"].values():
        for name in ("first_name", "last_name", "national_id", "phone", "ident"):
            assert str(party.get(name, "\0")) not in whole
    for word in ("tilrettelegging", "tiltak", "avtalen gjelder", EXAMPLE["position"]["title"]):
        assert word not in whole
    log = b"".join(entry.body for entry in desk.entries)
    assert b"@example.no" not in log
    assert b"@example.no" not in json.dumps(desk.events.events).encode()
    assert list(desk.services.store.list("work/")) == []


@pytest.mark.parametrize(
    ("changes", "mailed"),
    [
        ({"participant": {"address_protection": "strictly_confidential"}}, [EMPLOYER]),
        ({"participant": {"address_protection": "confidential"}}, [EMPLOYER]),
        ({"adviser": {"email": "veileder@example.no"}}, [PARTICIPANT, EMPLOYER, "veileder@example.no"]),
    ],
)
def test_whom_a_letter_might_harm_gets_none(
    desk: Desk, inbox: Inbox, changes: dict[str, Any], mailed: list[str]
) -> None:
    desk.sign(parties=changes)
    desk.drive()
    assert inbox.recipients == mailed


def test_in_the_agreements_language_and_that_of_its_translation(desk: Desk, inbox: Inbox) -> None:
    desk.sign(language="nn", courtesy_translation="en")
    desk.drive()
    first = inbox.letters[0]
    assert first["Subject"] == "Du har fått eit dokument"
    assert first["Content-Language"] == "nn, en"
    body = first.get_body(("html",))
    assert body is not None
    assert '<html lang="nn">' in body.get_content()
    assert '<section lang="en">' in body.get_content()
    assert "Your copy is ready." in body.get_content()


def test_a_server_that_puts_us_off_gets_the_same_letter_again(desk: Desk, inbox: Inbox) -> None:
    inbox.answers = ["451 4.7.1 greylisted, come back", "250 OK", "250 OK"]
    desk.sign()
    desk.drive()

    assert inbox.recipients == [PARTICIPANT, EMPLOYER]
    postponed = desk.copies["participant"]
    assert (postponed.outcome, postponed.next_at) == (CopyOutcome.POSTPONED, "2026-11-21T09:01:00.000Z")
    assert list(sweep(desk.services)) == []
    desk.clock.advance(timedelta(minutes=1))
    list(sweep(desk.services))

    assert inbox.recipients == [PARTICIPANT, EMPLOYER, PARTICIPANT]
    assert inbox.letters[0]["Message-ID"] == inbox.letters[2]["Message-ID"]
    assert {copy.outcome for copy in desk.copies.values()} == {CopyOutcome.SENT, None}
    assert len(desk.told("agreement.delivered")) == 2
    assert desk.told("agreement.delivery-failed") == []


def test_an_address_that_is_refused_is_told_once_and_never_tried_again(desk: Desk, inbox: Inbox) -> None:
    inbox.refused = {PARTICIPANT}
    desk.sign()
    desk.drive()
    (failed,) = desk.told("agreement.delivery-failed")
    assert (failed["role"], failed["code"]) == ("participant", "smtp_550")
    assert PARTICIPANT not in json.dumps(desk.events.events)
    assert inbox.recipients == [EMPLOYER]
    desk.clock.advance(timedelta(days=30))
    list(sweep(desk.services))
    assert inbox.recipients == [EMPLOYER]


def test_a_letter_that_is_refused_after_it_was_read_is_not_sent_again(desk: Desk, inbox: Inbox) -> None:
    inbox.answers = ["554 5.7.1 we do not want this", "250 OK"]
    desk.sign()
    desk.drive()
    assert [data["code"] for data in desk.told("agreement.delivery-failed")] == ["smtp_554"]


def test_a_connection_lost_after_the_letter_may_give_it_twice_with_one_id(desk: Desk, inbox: Inbox) -> None:
    inbox.answers = [None]
    desk.sign()
    desk.drive()
    desk.clock.advance(timedelta(minutes=1))
    list(sweep(desk.services))
    assert inbox.recipients == [PARTICIPANT, EMPLOYER, PARTICIPANT]
    assert inbox.letters[0]["Message-ID"] == inbox.letters[2]["Message-ID"]


def test_a_server_that_is_gone_is_given_up_after_days_and_holds_nothing_back() -> None:
    desk = open_desk(f"smtp://127.0.0.1:{_free_port()}")
    desk.sign()
    desk.drive()
    for _ in range(20):
        assert list(desk.services.store.list("work/")) == []  # it rests in between
        desk.clock.advance(timedelta(hours=13))
        list(sweep(desk.services))
    assert [data["code"] for data in desk.told("agreement.delivery-failed")] == ["mail_unavailable"] * 2
    assert [e.data["attempt"] for e in desk.entries if e.data.get("role") == "employer" and "attempt" in e.data] == [
        1, 2, 3, 4, 5, 6, 7, 8,
    ]  # fmt: skip
    assert [key for key in desk.services.store.list("due/") if "deliver" in key] == []


def test_without_a_mail_server_the_event_is_all(desk: Desk, inbox: Inbox) -> None:
    desk = replace(desk, services=replace(desk.services, copies=CopyPolicy("https://a.example.no")))
    desk.sign()
    desk.drive()
    assert inbox.letters == []
    (available,) = desk.told("agreement.copy-available")
    assert {c["channel"] for c in available["copies"]} == {"link"}


def test_an_address_that_was_erased_meanwhile_is_not_looked_for_elsewhere(desk: Desk, inbox: Inbox) -> None:
    desk.sign()
    sha256 = desk.agreement.current.input_sha256
    desk.services.store.delete(f"agreements/{desk.agreement_id}/blobs/{sha256}.json")
    (marker,) = desk.services.workbook.of(desk.agreement_id)
    drive(desk.services, marker)
    assert inbox.letters == []
    assert {copy.outcome for copy in desk.copies.values()} == {CopyOutcome.FAILED, None}


# --- the way to the server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS of 127.0.0.1 and 2130706433, and the certificate that vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")]),
    )
    import ipaddress

    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("2130706433")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, own = folder / "mail.pem", folder / "mail.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    own.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, own)
    return context, pem


def a_letter() -> EmailMessage:
    return letter(["nb"], "https://a.example.no/avtale/1", sender=SENDER, recipient=PARTICIPANT)


def send(smtp: Smtp) -> None:
    smtp.send(a_letter(), sender=SENDER, recipient=PARTICIPANT)


def test_login_over_starttls_with_a_certificate_that_fits(
    inbox: Inbox, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    context, pem = certificate
    seen = []

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"secret")

    with listening(inbox, tls_context=context, authenticator=check, auth_required=True) as address:
        send(Smtp(address, user="signert", password="secret", ca=pem))
        with pytest.raises(MailUnavailable) as caught:
            send(Smtp(address, user="signert", password="wrong", ca=pem))
    assert caught.value.code in {"smtp_535", "mail_unavailable"}  # this server hangs up after the second try
    assert inbox.tls == [True]  # of the one letter that was taken
    assert seen[0] == (b"signert", b"secret")


def test_a_certificate_of_somebody_else_gets_no_letter(
    inbox: Inbox, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    with listening(inbox, tls_context=certificate[0]) as address, pytest.raises(MailUnavailable):
        send(Smtp(address))
    assert inbox.letters == []


def test_without_tls_nothing_goes_to_another_machine(inbox: Inbox, address: str) -> None:
    elsewhere = address.replace("127.0.0.1", "2130706433")  # this machine, by a name that does not say so
    with pytest.raises((MailUnavailable, MailRefused)):
        send(Smtp(elsewhere))
    assert inbox.letters == []
    send(Smtp(address))
    assert len(inbox.letters) == 1


@pytest.mark.parametrize("begins", [b"", b"220 hello\r\n", b"220-"])
def test_a_server_that_hangs_or_drips_is_left(begins: bytes) -> None:
    with hanging(begins) as port, pytest.raises(MailUnavailable) as caught:
        send(Smtp(f"smtp://127.0.0.1:{port}", timeout=0.3, limit=1.0))
    assert caught.value.code == "mail_unavailable"


class hanging:  # noqa: N801 (used as a function)
    """A server that says how it begins, and then a byte now and then without end."""

    def __init__(self, begins: bytes) -> None:
        self._begins = begins
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.sendall(self._begins)
            try:
                while not self._over.wait(0.1):
                    if self._begins.endswith(b"-"):
                        connection.sendall(b"x")
            except OSError:
                pass

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()
