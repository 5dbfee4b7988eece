"""Signatures that a person approves at a remote signing service: there, back with a code, and the service signs.

    started = start_authorization(prepared, credential, session="…")  # the person is sent to started.url
    value = sign_authorized(prepared, credential, started, code=code, state=state)  # the person is back

The second line may come in another process: `start_authorization` gives the same again for the same session.
"""

from __future__ import annotations

from signing.credentials import Credential, CscCredential
from signing.credentials.csc import UserAuthorization
from signing.embed import check_prepared_for
from signing.errors import CredentialError
from signing.model import PreparedSignature

__all__ = ["UserAuthorization", "needs_person", "sign_authorized", "start_authorization"]


def needs_person(credential: Credential) -> bool:
    """Whether a person has to approve each use of the key, at the service that holds it. Asks nobody."""
    return isinstance(credential, CscCredential) and credential.needs_person


def start_authorization(
    prepared: PreparedSignature, credential: Credential, *, session: str
) -> UserAuthorization:
    """Begin to have a person approve this signature. Uses nothing up, and may be called again.

    Raises `CredentialError` when the credential is another's or none that a person approves, `CredentialUnavailable`
    when the service does not answer.
    """
    remote = _remote(credential)
    check_prepared_for(prepared, remote)
    return remote.start_authorization([remote.hash_of(prepared.signed_attributes)], session=session)


def sign_authorized(
    prepared: PreparedSignature, credential: Credential, started: UserAuthorization, *, code: str, state: str
) -> bytes:
    """The signature value over the prepared attributes, for what the person came back with. The code is used up.

    Raises `AuthorizationRefused` when state, code or what came of it are not accepted, `SignatureMismatch` for a value
    over other bytes or by another key, `CredentialError` and `CredentialUnavailable` else.
    """
    remote = _remote(credential)
    check_prepared_for(prepared, remote)
    sad = remote.finish_authorization(code, started, state=state)
    return remote.sign(prepared.signed_attributes, sad=sad)


def _remote(credential: Credential) -> CscCredential:
    if not isinstance(credential, CscCredential):
        raise CredentialError("this is not a key that a person approves the use of at a signing service")
    return credential
