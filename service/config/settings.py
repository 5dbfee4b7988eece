"""The settings as the service has them: validated, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from service.domain.steps import Capability
from service.transport import Broker

__all__ = ["DEVELOPMENT", "PRODUCTION", "S3Location", "Settings"]

DEVELOPMENT: Final = "development"
PRODUCTION: Final = "production"


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
