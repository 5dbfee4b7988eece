"""Trust anchors: the certificates everything must lead up to, all of them or by what they are trusted for."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
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

from signing import asn1, certificates, names, verified
from signing.aio import at_once
from signing.algorithm_policy import AlgorithmPolicy
from signing.credentials.base import common_name
from signing.errors import CredentialError, NotTrusted
from signing.kept import Kept, of_document
from signing.verified import VERIFIER

__all__ = ["TIMESTAMPS", "TrustStore"]

asn1.install()
names.install()
certificates.install()
verified.install()

TIMESTAMPS: Final = "timestamps"
"""Name of the list for time-stamping authorities."""

_PATHS: Final = 256
_PATHS_BYTES: Final = 4 * 1024 * 1024
_TOLERANCE: Final = timedelta(seconds=1)
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der", ".xml"})

Period = tuple[datetime, datetime | None]
"""From when and until when, the end not among it; None when it goes on."""


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
    periods: Mapping[bytes, tuple[Period, ...]] = field(default_factory=dict, hash=False, repr=False)
    """When an anchor from a trusted list was granted; the others are trusted at any time."""
    _narrowed: dict[str, TrustStore] = field(default_factory=dict, init=False, repr=False, compare=False)
    _paths: Kept[tuple[bytes, ...], ValidationPath] = field(
        default_factory=lambda: Kept(_PATHS, _PATHS_BYTES), init=False, repr=False, compare=False
    )
    """Paths of authorities' certificates: of a person's nothing is kept here."""

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
    def from_files(cls, *paths: Path | str, list_signers: Iterable[Path | str] = ()) -> TrustStore:
        """The anchors in PEM or DER files, in folders of such files, and in EU trusted lists (ETSI TS 119 612).

        Of a trusted list these are the CAs for qualified certificates for signatures and seals, as signers' anchors,
        and the qualified time-stamping services, as those of timestamps: each in the time in which it was granted.
        The list's own signature is verified with a certificate of `list_signers` when there are any; without, the
        file is trusted as any file of anchors is. Raises `CredentialError`.
        """
        from signing.trusted_lists import is_trusted_list, read_trusted_list

        operators = cls.from_pem(*list_signers).certificates
        plain: list[Path] = []
        listed: list[TrustStore] = []
        for path in (found for each in paths for found in _files(Path(each))):
            if is_trusted_list(path):
                listed.append(read_trusted_list(path, operators))
            else:
                plain.append(path)
        common = cls.from_pem(*plain)
        if not listed:
            return common
        stamps = tuple(
            dict.fromkeys([*common.anchors, *(a for each in listed for a in each.timestamps.anchors)])
        )
        anchors = tuple(dict.fromkeys([*common.anchors, *(a for each in listed for a in each.anchors)]))
        periods = _joined(listed, trusted=frozenset(common.anchors))
        return cls(anchors, {TIMESTAMPS: stamps}, periods=periods)

    @classmethod
    def from_lists(cls, lists: Mapping[str, TrustStore]) -> TrustStore:
        """All of these lists in one. Its own anchors are those of signers: what is for `TIMESTAMPS` alone is not among
        them.
        """
        every = (anchor for name, each in lists.items() if name != TIMESTAMPS for anchor in each.anchors)
        always = frozenset(a for each in lists.values() for a in each.anchors if a not in each.periods)
        return cls(
            tuple(dict.fromkeys(every)),
            {name: each.anchors for name, each in lists.items()},
            periods=_joined(lists.values(), trusted=always),
        )

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
            "periods": [
                [_encode(anchor), [[start.isoformat(), end and end.isoformat()] for start, end in each]]
                for anchor, each in self.periods.items()
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrustStore:
        """The anchors that `as_json` gave."""
        return cls(
            tuple(b64decode(anchor) for anchor in value["anchors"]),
            {name: tuple(b64decode(anchor) for anchor in each) for name, each in value["lists"].items()},
            AlgorithmPolicy.from_json(value["algorithms"]),
            {
                b64decode(anchor): tuple(
                    (datetime.fromisoformat(start), datetime.fromisoformat(end) if end else None)
                    for start, end in each
                )
                for anchor, each in value["periods"]
            },
        )

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        loaded = tuple(x509.Certificate.load(der) for der in self.anchors)
        for each in loaded:
            asn1.unchanging(each)
        return loaded

    @cached_property
    def manager(self) -> SimpleTrustManager:
        return SimpleTrustManager.build(trust_roots=self.certificates)

    @cached_property
    def _anchors(self) -> frozenset[bytes]:
        return frozenset(self.anchors)

    def granted(self, anchor: bytes, at: datetime) -> bool:
        """Whether the anchor (DER) is trusted at that time."""
        periods = self.periods.get(anchor)
        return periods is None or any(start <= at and (end is None or at < end) for start, end in periods)

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate.dump() in self._anchors

    def path(
        self, certificate: x509.Certificate, others: Iterable[x509.Certificate], *, at: datetime
    ) -> ValidationPath:
        """A path from an anchor to the certificate by way of `others`, verified as of `at` save for revocation.

        Raises `NotTrusted`. The only path that there is is kept when it held, and then held to the other time alone:
        all else that decides it are the certificates and these anchors.
        """
        # An anchor among the others is one anyway.
        above = [each for each in _issuers(certificate, others) if each.dump() not in self._anchors]
        key = certificate.sha256, *(each.sha256 for each in above)
        found = self._known(certificate, key)
        if found is not None and self._holds(found, at):
            return found
        found, only = self._path(certificate, above, at)
        if only:
            self._keep(certificate, key, found)
        return found

    def _known(self, certificate: x509.Certificate, key: tuple[bytes, ...]) -> ValidationPath | None:
        if certificates.is_authority(certificate):
            return self._paths.get(key)
        store, path = of_document().get(key) or (None, None)
        return path if store is self else None

    def _keep(self, certificate: x509.Certificate, key: tuple[bytes, ...], path: ValidationPath) -> None:
        size = sum(len(each.dump()) for each in path.iter_certs(include_root=True))
        if certificates.is_authority(certificate):
            self._paths.put(key, path, size)
        else:
            of_document().put(key, (self, path), size)

    def _holds(self, path: ValidationPath, at: datetime) -> bool:
        """Whether what time decides of a path is as it was: validity, algorithms, and that the anchor is granted."""
        for issuer, certificate in pairwise(path.iter_certs(include_root=True)):
            if (
                not certificate.not_valid_before - _TOLERANCE
                <= at
                <= certificate.not_valid_after + _TOLERANCE
            ):
                return False
            signed_by = certificate["signature_algorithm"]
            if not self.algorithms.signature_algorithm_allowed(signed_by, at, issuer.public_key):
                return False
        return self.granted(path.first.dump(), at)

    def _path(
        self, certificate: x509.Certificate, others: list[x509.Certificate], at: datetime
    ) -> tuple[ValidationPath, bool]:
        """A path, and whether there is no other one."""
        builder = PathBuilder(self.manager, CertificateRegistry.build(certs=others))
        # A certificate that issued itself may be a person's, whose name is not for an error's text.
        own = certificate.issuer == certificate.subject
        what = (
            "a self-signed certificate"
            if own
            else f"a certificate issued by {common_name(certificate.issuer)}"
        )
        try:
            paths = at_once(builder.async_build_paths(certificate))
        except PathBuildingError as error:
            raise NotTrusted(
                f"{what} does not lead to a trust anchor",
                remedy="add the issuer's root, or the certificates between, if it is to be trusted",
            ) from error
        policy = CertValidationPolicySpec(
            trust_manager=self.manager,
            revinfo_policy=CertRevTrustPolicy(revocation_checking_policy=NO_REVOCATION),
            time_tolerance=_TOLERANCE,
            algorithm_usage_policy=self.algorithms,
            signature_validator=VERIFIER,
        )
        timing = ValidationTimingInfo(
            validation_time=at, best_signature_time=at, point_in_time_validation=True
        )
        fault: Exception | None = None
        revoked = False
        candidate: ValidationPath
        for candidate in paths:
            try:
                at_once(async_validate_path(policy.build_validation_context(timing, None), candidate))
            except PathValidationError as error:
                fault = error
                continue
            if self.granted(candidate.first.dump(), at):
                return candidate, len(paths) == 1
            revoked = True
        if revoked:
            raise NotTrusted(
                "the issuer was not granted in the trusted list at that time",
                remedy="look the issuer's service up in the list, with its history",
            )
        raise NotTrusted(f"the path to {what} does not hold") from fault


def _issuers(certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Those of the others by whose names a path could lead up, in their order; of one serial number the first."""
    by_serial: dict[bytes, x509.Certificate] = {}
    for other in others:
        by_serial.setdefault(other.issuer_serial, other)
    names: set[str] = set()
    wanted = {certificate.issuer.hashable}
    while wanted - names:
        names |= wanted
        wanted = {each.issuer.hashable for each in by_serial.values() if each.subject.hashable in names}
    return [each for each in by_serial.values() if each.subject.hashable in names]


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder that may hold anchors, by name. Raises `CredentialError`."""
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in _SUFFIXES and each.is_file())
    if not found:
        raise CredentialError(
            f"there are no trust anchors in the folder {path}",
            remedy=f"its files end in {', '.join(sorted(_SUFFIXES))}",
        )
    return found


def _joined(stores: Iterable[TrustStore], *, trusted: frozenset[bytes]) -> dict[bytes, tuple[Period, ...]]:
    """The periods of all, but of what is trusted at any time by another way."""
    found: dict[bytes, tuple[Period, ...]] = {}
    for store in stores:
        for anchor, each in store.periods.items():
            if anchor not in trusted:
                found[anchor] = tuple(dict.fromkeys((*found.get(anchor, ()), *each)))
    return found
