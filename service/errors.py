"""The service's errors: one root, and on each a code, whether trying again helps, and the way out.

Texts never hold personal data: they name fields, ids and hashes, not values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One fault in what was sent.

    `path` is the field's place from the root of the command (`agreement.parties.participant.national_id`,
    list items by index: `agreement.goals.0.category`), `code` is stable and for machines, `message` is for
    people and names the way out.
    """

    path: str
    code: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "code": self.code, "message": self.message}


class SignertError(Exception):
    """Root of all errors that this service raises on purpose.

    `code` is stable (`snake_case`), `retryable` says that the same step may succeed later, and
    `remedy` tells a person what to do.
    """

    code = "signert_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str = "",
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.remedy = remedy
        self.detail = dict(detail or {})

    def as_json(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "message": self.message, "retryable": self.retryable}
        if self.remedy:
            body["remedy"] = self.remedy
        if self.detail:
            body["detail"] = self.detail
        return body


class ConfigurationError(SignertError):
    """A setting is missing, unknown or not allowed."""

    code = "configuration"


class CommandRejected(SignertError):
    """The command breaks a rule; it is kept and answered with `agreement.rejected`."""

    code = "rejected"

    def __init__(self, message: str, errors: Sequence[FieldError], *, code: str = "invalid") -> None:
        super().__init__(message, code=code, detail={"errors": [e.as_json() for e in errors]})
        self.errors = tuple(errors)


class TemplateError(SignertError):
    """A template is unknown, altered, unsafe, or does not print what it was given."""

    code = "template"

    def __init__(
        self,
        message: str,
        *,
        code: str = "template",
        remedy: str = "",
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, detail=detail)
        self.code = code


class RenderFailed(SignertError):
    """LibreOffice did not turn this document into a PDF."""

    code = "render_failed"
    retryable = True


class RenderTimeout(RenderFailed):
    """LibreOffice did not finish in time, and was ended."""

    code = "render_timeout"


class UnreadableDocument(RenderFailed):
    """LibreOffice cannot load the Word file: the same file will not fare better."""

    code = "render_unreadable"
    retryable = False


class NotArchivable(RenderFailed):
    """The PDF cannot become PDF/A level A with PDF/UA: the template or a font must change first."""

    code = "render_not_archivable"
    retryable = False


class QueryRefused(SignertError):
    """What was asked for in a search cannot be looked for: a value is none of its kind, or the cursor is not ours."""

    code = "query"


class StoreError(SignertError):
    """The object store did not do what it was asked."""

    code = "store"
    retryable = True


class NotFound(StoreError):
    """There is no object (or agreement, or version) of that name."""

    code = "not_found"
    retryable = False


class ChecksumMismatch(StoreError):
    """The store has other bytes under the name than were written there."""

    code = "store_checksum"


class AlreadyExists(StoreError):
    """`create` found an object of that key: somebody was first."""

    code = "already_exists"
    retryable = False


class Retained(StoreError):
    """The object is under a lock: nobody can remove it yet."""

    code = "retention_lock"


class LogCorrupt(SignertError):
    """The chain of an agreement's log does not hold."""

    code = "log_corrupt"


class NewerFormat(LogCorrupt):
    """A later release has written this, in a way that this one does not know; it must not guess."""

    code = "newer_format"

    def __init__(self, message: str) -> None:
        super().__init__(
            message, remedy="Run the release that wrote it, or a later one: releases read all earlier ones."
        )


class CredentialMissing(SignertError):
    """This service holds no key for a party that is to sign."""

    code = "credential_missing"


class AuthorizationInUse(SignertError):
    """Another worker is having a signature made for what a person came back with, or has died doing so."""

    code = "authorization_in_use"
    retryable = True


class VerificationFailed(SignertError):
    """Our own validation of a finished document did not pass: it does not count as signed."""

    code = "verification_failed"


class MailRefused(SignertError):
    """This recipient gets no e-mail: trying again would not help."""

    code = "mail_refused"


class MailUnavailable(SignertError):
    """The mail server cannot be reached, or puts us off."""

    code = "mail_unavailable"
    retryable = True


class BrokerUnavailable(SignertError):
    """The broker cannot be reached or did not take what it was given."""

    code = "broker_unavailable"
    retryable = True


class TokenRefused(SignertError):
    """A bearer token that proves nothing, or not enough: the request is not answered (HTTP 401)."""

    code = "token_refused"


class RoleMissing(SignertError):
    """A good token whose bearer is nobody here (HTTP 403)."""

    code = "no_role"


class ProviderUnavailable(SignertError):
    """The provider that vouches for readers cannot be reached, so nobody's token can be checked."""

    code = "provider_unavailable"
    retryable = True


class LoginFailed(SignertError):
    """A login that did not come to a good end: begun again, it may."""

    code = "login_failed"


class PackageRefused(SignertError):
    """An archive package is not whole, was altered, or would do harm: nothing of it is taken in."""

    code = "package_refused"
