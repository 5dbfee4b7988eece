"""A key in a remote signing service, held to the certificate it was opened with."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import SplitResult, unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import Mechanism, mechanism_for, verify_raw
from signing.credentials.base import SignerIdentity, register_scheme
from signing.credentials.csc.channel import AnswerLost, Channel
from signing.credentials.csc.config import MODES, CscConfig
from signing.credentials.csc.oauth import AuthorizationServer, UserAuthorization
from signing.credentials.csc.protocol import (
    ActivationData,
    CredentialState,
    CscService,
    digest_size,
    hash_oid,
)
from signing.errors import AuthorizationRefused, CredentialError

__all__ = ["CscCredential"]


def _now() -> datetime:
    return datetime.now(UTC)


class CscCredential:
    """A credential of a CSC service. Conforms to `Credential`.

    Unattended (`implicit`, `explicit` with a PIN): `sign`, `sign_many`.
    Approved by a person (`oauth2code`): `start_authorization` → the person at `url` → `finish_authorization` → `sign`
    with the activation data.
    """

    def __init__(self, config: CscConfig, *, clock: Callable[[], datetime] = _now) -> None:
        self._config = config
        self._clock = clock
        self._channel = Channel(
            connect_timeout=config.connect_timeout, read_timeout=config.read_timeout, ca_file=config.ca_file
        )
        self._service = CscService(config, self._channel, self._access_token, clock=clock)
        self._server = (
            AuthorizationServer(config.client, self._channel, self._service.info, clock=clock)
            if config.client
            else None
        )
        self._identity: SignerIdentity | None = None
        self._state: CredentialState | None = None
        self._asked_at: datetime | None = None

    @classmethod
    def load(cls, path: Path, *, clock: Callable[[], datetime] = _now) -> CscCredential:
        """The credential a file names. Raises `CredentialError`; the service is not asked yet."""
        return cls(CscConfig.load(path), clock=clock)

    def __repr__(self) -> str:
        mechanism = self._identity.mechanism.value if self._identity else "not asked for yet"
        return f"CscCredential({mechanism})"

    def close(self) -> None:
        """Close the connections kept."""
        self._channel.close()

    @property
    def needs_person(self) -> bool:
        """Whether the file says that a person approves each use (`authorization = "oauth2code"`)."""
        return self._config.authorization == "oauth2code"

    @property
    def identity(self) -> SignerIdentity:
        """Asked for once and kept: a certificate that changes is refused, until the credential is opened anew.

        Raises `CredentialError`, `CredentialUnavailable`.
        """
        if self._identity is None:
            self._current()
        assert self._identity is not None
        return self._identity

    def sign(self, data: bytes, *, sad: ActivationData | None = None) -> bytes:
        """The signature value over `data`. As `sign_many`."""
        return self.sign_many([data], sad=sad)[0]

    def sign_many(self, data: Sequence[bytes], *, sad: ActivationData | None = None) -> list[bytes]:
        """Signature values in the order of `data`, in as few authorisations as the service allows.

        With `sad`, a person's approval is used in place of an authorisation of our own. Each value is verified with
        the certificate before it is returned. Raises `CredentialUnavailable` when trying again may help,
        `SignatureMismatch` for a value over other bytes or by another key, `CredentialError` else.
        """
        if not data:
            return []
        state = self._current()
        identity = self.identity
        if sad is None:
            self._check_unattended(state)
        values: list[bytes] = []
        most = len(data) if sad else state.most_signatures
        for start in range(0, len(data), most):
            batch = data[start : start + most]
            hashes = [self.hash_of(item) for item in batch]
            if sad is not None:
                self._check_approval(sad, hashes)
                found = self._service.sign_hash(hashes, identity.mechanism, sad)
            else:
                found = self._authorize_and_sign(hashes, identity.mechanism, state)
            for value, item in zip(found, batch, strict=True):
                verify_raw(identity.parsed, identity.mechanism, value, item)
            values += found
        return values

    def hash_of(self, data: bytes) -> bytes:
        """The digest of `data` by the identity's mechanism: what is approved and signed."""
        return hashlib.new(self.identity.mechanism.digest_algorithm, data).digest()

    def start_authorization(self, hashes: Sequence[bytes], *, session: str) -> UserAuthorization:
        """Begin to have a person approve signatures over these hashes (CSC v2, 8.4.2; v1, 8.3.2).

        The person opens `url` and comes back to client.redirect-uri with `code` and `state`. `session` names this
        authorisation and no other; the same hashes and session give the same again, so that nothing has to be kept
        until the person comes back. Raises `CredentialError`.
        """
        server = self._authorization_server()
        state = self._current()
        mechanism = self.identity.mechanism
        if state.mode != "oauth2code":
            raise CredentialError(f"the credential's authorisation is {state.mode}, not by a person")
        if not hashes or any(len(value) != digest_size(mechanism) for value in hashes):
            raise CredentialError(f"a hash to approve is not a {mechanism.digest_algorithm} digest")
        if len(hashes) > state.most_signatures:
            raise CredentialError(
                f"the service lets {state.most_signatures} signatures be approved at once, not {len(hashes)}"
            )
        version = self._service.version
        # With padding, as RFC 4648 has it; the values are put apart by commas.
        encoded = ",".join(base64.urlsafe_b64encode(value).decode() for value in hashes)
        parameters = {
            "credentialID": self._config.credential,
            "numSignatures": str(len(hashes)),
            "hash" if version == 1 else "hashes": encoded,
        }
        if version == 2:
            parameters["hashAlgorithmOID"] = hash_oid(mechanism)
        return server.start(parameters, tuple(hashes), session)

    def finish_authorization(self, code: str, started: UserAuthorization, *, state: str) -> ActivationData:
        """Activation data for the code a person came back with, which is used up by that.

        Raises `AuthorizationRefused` when state or code are not accepted, `CredentialError` else.

        `state` is the one that came back with the code; one that is not ours is refused.
        """
        if not hmac.compare_digest(state.encode(), started.state.encode()):
            raise AuthorizationRefused("the approval that came back is not the one that was asked for")
        token, expires_at = self._authorization_server().finish(
            code, started.verifier, self._config.credential
        )
        return ActivationData(token, started.hashes, expires_at, is_token=True)

    def _access_token(self, stale: str | None) -> str | None:
        return self._server.service_token(stale) if self._server else None

    def _authorization_server(self) -> AuthorizationServer:
        if self._server is None:
            raise CredentialError("the file names no OAuth 2.0 client", remedy="add the table [client]")
        return self._server

    def _authorize_and_sign(
        self, hashes: Sequence[bytes], mechanism: Mechanism, state: CredentialState
    ) -> list[bytes]:
        for attempt in (1, 2):
            try:
                sad = self._service.authorize(hashes, mechanism, state)
                if self._clock() >= sad.expires_at:
                    raise CredentialError("the authorisation had expired before it could be used")
                return self._service.sign_hash(hashes, mechanism, sad)
            except AnswerLost:
                # Activation data that may have been used is not sent again: it is authorised anew, once.
                if attempt == 2:
                    raise
        raise AssertionError

    def _check_unattended(self, state: CredentialState) -> None:
        if state.mode == "oauth2code":
            raise CredentialError(
                "a person must approve each signature with this credential",
                remedy="start an authorisation and sign with what comes of it",
            )
        if state.challenge:
            raise CredentialError(
                "the credential demands a one-time password, which cannot be given unattended",
                remedy="have the provider change how the credential is authorised",
            )

    def _check_approval(self, sad: ActivationData, hashes: Sequence[bytes]) -> None:
        if not set(hashes) <= set(sad.hashes):
            raise AuthorizationRefused(
                "the approval is for other bytes than these",
                remedy="ask for approval of what is to be signed",
            )
        if self._clock() >= sad.expires_at:
            raise AuthorizationRefused("the approval has expired", remedy="ask for it again")

    def _current(self) -> CredentialState:
        """The credential's state, not older than configured, and with the certificate it was opened with."""
        now = self._clock()
        age = timedelta(seconds=self._config.info_max_age)
        if self._state is None or self._asked_at is None or not now - age < self._asked_at <= now:
            state = self._service.credential()
            identity = self._held_to(_identity(state))
            self._check_usable(state)
            identity.check_validity(now)
            self._identity, self._state, self._asked_at = identity, state, now
        self.identity.check_validity(now)
        return self._state

    def _held_to(self, identity: SignerIdentity) -> SignerIdentity:
        pinned = self._config.certificate_sha256
        if pinned and identity.certificate_sha256 != pinned:
            raise CredentialError("the service's certificate is not the one named as certificate-sha256")
        if self._identity is None:
            return identity
        if identity.certificate != self._identity.certificate:
            raise CredentialError(
                "the service's certificate for this credential has changed",
                remedy="make sure that it is the right one, open the credential anew and prepare again",
            )
        return self._identity

    def _check_usable(self, state: CredentialState) -> None:
        expected = self._config.authorization
        if expected and state.mode != expected:
            raise CredentialError(f"the credential's authorisation is not {expected}, as the file says")
        if state.mode not in MODES:
            raise CredentialError("the credential's kind of authorisation is not one known here")
        if not state.enabled:
            raise CredentialError(
                "the credential's key is disabled", remedy="have the provider enable it, or use another"
            )
        if state.certificate_status not in ("", "valid"):
            known = state.certificate_status in ("expired", "revoked", "suspended")
            raise CredentialError(
                f"the credential's certificate is {state.certificate_status if known else 'not valid'}"
            )


def _identity(state: CredentialState) -> SignerIdentity:
    """Certificate, chain in order, and mechanism. Raises `CredentialError` for what is refused."""
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in state.certificates]
        if not certificates:
            raise CredentialError("the signing service gave no certificate")
        certificate = _end_entity(certificates)
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
        raise CredentialError("a certificate the signing service gave cannot be read") from None
    if algorithm is not None and algorithm.name in ("md5", "sha1"):
        raise CredentialError(f"the credential's certificate is signed with {algorithm.name}")
    mechanism = mechanism_for(key)
    if mechanism.identifier()["algorithm"].dotted not in state.algorithms:
        raise CredentialError(
            f"the service does not make {mechanism.value} signatures with this credential",
            remedy="use a credential for ECDSA or RSASSA-PSS",
        )
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    curve = _CURVES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
    if state.key_bits not in (None, key.key_size) or (curve and state.curve not in (None, curve)):
        raise CredentialError("the credential's certificate is for another key than the service describes")
    above = {item.subject.public_bytes(): item for item in certificates if item is not certificate}
    chain: list[bytes] = []
    current = certificate
    while (issuer := above.pop(current.issuer.public_bytes(), None)) is not None:
        chain.append(issuer.public_bytes(Encoding.DER))
        current = issuer
    return SignerIdentity(certificate.public_bytes(Encoding.DER), tuple(chain), mechanism)


_CURVES = {"secp256r1": "1.2.840.10045.3.1.7", "secp384r1": "1.3.132.0.34"}


def _end_entity(certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The signer's certificate: the first (11.5), or where that is a CA's, the only one that is not."""
    signers = [item for item in certificates if not _is_authority(item)]
    if certificates[0] in signers:
        return certificates[0]
    if len(signers) != 1:
        raise CredentialError("the signing service did not give one signer's certificate")
    return signers[0]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _open(parts: SplitResult) -> CscCredential:
    if parts.netloc or parts.query or parts.fragment or not parts.path:
        raise CredentialError(
            "a csc: address names a file and nothing else", remedy="write csc:/path/to/file.toml"
        )
    return CscCredential.load(Path(unquote(parts.path)))


register_scheme("csc", _open)
