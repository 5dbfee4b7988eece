"""Trust anchors: the certificates everything must lead up to, all of them or by what they are trusted for."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from asn1crypto import pem, x509
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import NO_REVOCATION, CertRevTrustPolicy
from pyhanko_certvalidator.registry import CertificateRegistry, PathBuilder, SimpleTrustManager
from pyhanko_certvalidator.validate import async_validate_path

from signing.aio import run
from signing.algorithm_policy import AlgorithmPolicy
from signing.credentials.base import common_name
from signing.errors import CredentialError, NotTrusted

__all__ = ["TIMESTAMPS", "TrustStore"]

TIMESTAMPS: Final = "timestamps"
"""Name of the list for time-stamping authorities."""


def _encode(anchor: bytes) -> str:
    return b64encode(anchor).decode()


@dataclass(frozen=True)
class TrustStore:
    """Trust anchors, as DER certificates.

    `lists` are anchors by what they are trusted for, under names of the caller's but for `TIMESTAMPS`. `algorithms` are
    those accepted on the way up to them, the built-in policy's when not given.
    """

    anchors: tuple[bytes, ...]
    lists: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict, hash=False)
    algorithms: AlgorithmPolicy = field(default_factory=AlgorithmPolicy.load, compare=False, repr=False)
    _narrowed: dict[str, TrustStore] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_pem(cls, *paths: Path | str) -> TrustStore:
        """All certificates in PEM or DER files. Raises `CredentialError` when a file has none."""
        found: list[bytes] = []
        for path in paths:
            try:
                content = Path(path).read_bytes()
                if pem.detect(content):
                    der = [
                        value
                        for kind, _, value in pem.unarmor(content, multiple=True)
                        if kind == "CERTIFICATE"
                    ]
                else:
                    der = [content]
                for value in der:
                    x509.Certificate.load(value, strict=True).subject.native  # noqa: B018 - parses it
            except (OSError, ValueError) as error:
                raise CredentialError(
                    f"the trust anchors in {path} cannot be read ({type(error).__name__})"
                ) from None
            if not der:
                raise CredentialError(f"there is no certificate in {path}")
            found.extend(value for value in der if value not in found)
        return cls(tuple(found))

    @classmethod
    def from_lists(cls, lists: Mapping[str, TrustStore]) -> TrustStore:
        """All of these lists in one. Its own anchors are those of signers: what is for `TIMESTAMPS` alone is not among
        them.
        """
        every = (anchor for name, each in lists.items() if name != TIMESTAMPS for anchor in each.anchors)
        return cls(tuple(dict.fromkeys(every)), {name: each.anchors for name, each in lists.items()})

    def accepting(self, algorithms: AlgorithmPolicy) -> TrustStore:
        """The same anchors, with other algorithms accepted."""
        return replace(self, algorithms=algorithms)

    def of(self, name: str) -> TrustStore:
        """The anchors of one list alone; where there is no such list, the same ones."""
        if name not in self.lists:
            return self
        return self._narrowed.setdefault(name, replace(self, anchors=self.lists[name]))

    @property
    def timestamps(self) -> TrustStore:
        """The anchors of time-stamping authorities."""
        return self.of(TIMESTAMPS)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, to hand the anchors to another process."""
        return {
            "anchors": [_encode(anchor) for anchor in self.anchors],
            "lists": {name: [_encode(anchor) for anchor in each] for name, each in self.lists.items()},
            "algorithms": self.algorithms.as_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrustStore:
        """The anchors that `as_json` gave."""
        return cls(
            tuple(b64decode(anchor) for anchor in value["anchors"]),
            {name: tuple(b64decode(anchor) for anchor in each) for name, each in value["lists"].items()},
            AlgorithmPolicy.from_json(value["algorithms"]),
        )

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return tuple(x509.Certificate.load(der) for der in self.anchors)

    @cached_property
    def manager(self) -> SimpleTrustManager:
        return SimpleTrustManager.build(trust_roots=self.certificates)

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate.dump() in self.anchors

    def path(
        self, certificate: x509.Certificate, others: Iterable[x509.Certificate], *, at: datetime
    ) -> ValidationPath:
        """A path from an anchor to the certificate by way of `others`, verified as of `at` save for revocation.

        Raises `NotTrusted`.
        """
        builder = PathBuilder(self.manager, CertificateRegistry.build(certs=others))
        # A certificate that issued itself may be a person's, whose name is not for an error's text.
        own = certificate.issuer == certificate.subject
        what = (
            "a self-signed certificate"
            if own
            else f"a certificate issued by {common_name(certificate.issuer)}"
        )
        try:
            paths = run(builder.async_build_paths(certificate))
        except PathBuildingError as error:
            raise NotTrusted(
                f"{what} does not lead to a trust anchor",
                remedy="add the issuer's root, or the certificates between, if it is to be trusted",
            ) from error
        policy = CertValidationPolicySpec(
            trust_manager=self.manager,
            revinfo_policy=CertRevTrustPolicy(revocation_checking_policy=NO_REVOCATION),
            algorithm_usage_policy=self.algorithms,
        )
        timing = ValidationTimingInfo(
            validation_time=at, best_signature_time=at, point_in_time_validation=True
        )
        fault: Exception | None = None
        candidate: ValidationPath
        for candidate in paths:
            try:
                run(async_validate_path(policy.build_validation_context(timing, None), candidate))
            except PathValidationError as error:
                fault = error
                continue
            return candidate
        raise NotTrusted(f"the path to {what} does not hold") from fault
