"""E-mail by SMTP (RFC 5321), to one server that sends it on.

    Smtp("smtps://mail.example.no:465").send(message, sender="…", recipient="…")

With `smtp://` the connection is turned into TLS before anything is said (STARTTLS), unless the server is this machine.
The server's certificate is always checked. What a server says is not repeated: it often quotes the address.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from service.errors import MailRefused, MailUnavailable

__all__ = ["Smtp"]

_PORTS: Final = {"smtp": 587, "smtps": 465}
_PERMANENT: Final = range(500, 600)
_LATER: Final = "It is tried again later. See the mail server's log."


class Smtp:
    """A server by its address, `smtp://host:port` or `smtps://host:port`.

    `timeout` is of each answer, `limit` of a whole letter, both in seconds: a server that sends its answer a byte at a
    time holds nobody up for longer.
    """

    def __init__(
        self,
        address: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca: Path | None = None,
        timeout: float = 20.0,
        limit: float = 60.0,
    ) -> None:
        parts = urlsplit(address)
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = user
        self._password = password
        self._ca = ca
        self._timeout = timeout
        self._limit = limit

    def __repr__(self) -> str:
        return f"Smtp('{self._host}:{self._port}')"

    def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """See `Mailer`."""
        try:
            with self._session() as server:
                server.send_message(message, sender, [recipient])
        except smtplib.SMTPNotSupportedError:
            raise MailRefused(
                "the mail server does not take addresses of that kind",
                code="mail_not_supported",
                remedy="Give an address in ASCII, or use a server with SMTPUTF8.",
            ) from None
        except smtplib.SMTPRecipientsRefused as exc:
            raise _answered(next(iter(exc.recipients.values()))[0]) from None
        except smtplib.SMTPDataError as exc:
            raise _answered(exc.smtp_code) from None
        except (
            smtplib.SMTPResponseException
        ) as exc:  # to what is not about this letter: greeting, login, sender
            raise MailUnavailable(
                "the mail server does not take letters from us", code=f"smtp_{exc.smtp_code}", remedy=_LATER
            ) from None
        except (OSError, smtplib.SMTPException) as exc:
            raise MailUnavailable(
                f"the mail server cannot be reached, or broke off: {type(exc).__name__}",
                code="mail_unavailable",
                remedy=_LATER,
            ) from None

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        server: smtplib.SMTP
        if self._tls:
            server = smtplib.SMTP_SSL(timeout=self._timeout, context=context)
        else:
            server = smtplib.SMTP(timeout=self._timeout)
        server._host = self._host  # type: ignore[attr-defined]  # what TLS checks the certificate against
        watch = threading.Timer(self._limit, _break_off, [server])
        watch.daemon = True
        watch.start()
        try:
            server.connect(self._host, self._port)
            if not self._tls and not _is_loopback(self._host):
                server.starttls(context=context)
            elif not self._tls:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
            if self._user and self._password:
                server.login(self._user, self._password)
            yield server
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()  # the letter is taken: a goodbye that fails changes nothing
        finally:
            watch.cancel()
            server.close()


def _break_off(server: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError, AttributeError):
        server.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


def _answered(code: int) -> MailRefused | MailUnavailable:
    if code in _PERMANENT:
        return MailRefused(
            "the mail server does not take letters for this address",
            code=f"smtp_{code}",
            remedy="Check the party's address, and tell the party otherwise.",
        )
    return MailUnavailable("the mail server puts the letter off", code=f"smtp_{code}", remedy=_LATER)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
