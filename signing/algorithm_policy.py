"""Which algorithms are accepted, and until when: a file with dates, after ETSI TS 119 312 (`algorithms.toml`).

    policy = AlgorithmPolicy.load()
    policy.digest_ends("sha224")                                     # 2029-01-01
    policy.signature_ends(signer["signature_algorithm"], certificate.public_key)
    policy.digest_for(now)                                           # the digest for a new timestamp

An end is the first instant at which the algorithm is no longer accepted: None where none is known, `NEVER` for what was
never accepted. One place for all that others made: signatures, timestamps, certificates, OCSP responses and CRLs. What
is made here is narrower (`signing.algorithms`).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self, cast

from asn1crypto import algos, cms, keys, tsp, x509
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator.policy_decl import AlgorithmUsageConstraint

from signing.errors import AlgorithmPolicyError

__all__ = ["NEVER", "AlgorithmPolicy", "RsaRule", "ends_first", "scheme_of_signature"]

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""The end of what was never accepted."""
_BUILT_IN: Final = Path(__file__).with_name("algorithms.toml")
_FORMAT: Final = 1
_KINDS: Final = {"rsa": "rsa", "rsassa_pss": "rsa", "ec": "ecdsa", "ed25519": "ed25519", "ed448": "ed448"}

Padding = Literal["pkcs1", "pss"]
_PADDINGS: Final[dict[str, Padding]] = {"rsassa_pkcs1v15": "pkcs1", "rsassa_pss": "pss"}
# Digests of the signature algorithms whose digest asn1crypto does not tell.
_DIGESTS: Final = {f"sha3_{bits}_ecdsa": f"sha3_{bits}" for bits in (224, 256, 384, 512)}


@dataclass(frozen=True)
class RsaRule:
    """Until when RSA keys of at least so many bits are accepted with a padding."""

    padding: Padding
    bits: int
    ends: datetime | None


@dataclass(frozen=True, eq=False)
class AlgorithmPolicy(CMSAlgorithmUsagePolicy):
    """The policy of one file. Digests are named as in `hashlib`, curves as in asn1crypto."""

    name: str
    digests: Mapping[str, datetime | None]
    rsa: tuple[RsaRule, ...]
    curves: Mapping[str, datetime | None]
    edwards: Mapping[str, datetime | None]
    timestamp_digests: tuple[str, ...]
    timestamp_years: int

    @classmethod
    def load(cls, path: Path | None = None) -> AlgorithmPolicy:
        """The policy in a file of the form of `algorithms.toml`; that one when no path is given.

        Raises `AlgorithmPolicyError` that names the file and the line or the field at fault.
        """
        return _built_in() if path is None else cls.parse(_read(path), where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "the algorithm policy") -> Self:
        """The policy in this TOML. Raises `AlgorithmPolicyError`."""
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise AlgorithmPolicyError(f"{where} is not TOML: {error}") from None
        try:
            return cls(**_values(content))
        except _Fault as fault:
            raise AlgorithmPolicyError(
                f"{where}: {fault}", remedy="see signing/algorithms.toml for the form"
            ) from None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, to hand the policy to another process."""

        def plain(ends: Mapping[str, datetime | None]) -> dict[str, str | None]:
            return {name: end.isoformat() if end else None for name, end in ends.items()}

        return {
            **vars(self),
            "digests": plain(self.digests),
            "rsa": [
                [rule.padding, rule.bits, rule.ends.isoformat() if rule.ends else None] for rule in self.rsa
            ],
            "curves": plain(self.curves),
            "edwards": plain(self.edwards),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The policy that `as_json` gave."""

        def end(told: str | None) -> datetime | None:
            return datetime.fromisoformat(told) if told else None

        def read(ends: Mapping[str, str | None]) -> dict[str, datetime | None]:
            return {name: end(told) for name, told in ends.items()}

        return cls(
            name=value["name"],
            digests=read(value["digests"]),
            rsa=tuple(RsaRule(padding, bits, end(told)) for padding, bits, told in value["rsa"]),
            curves=read(value["curves"]),
            edwards=read(value["edwards"]),
            timestamp_digests=tuple(value["timestamp_digests"]),
            timestamp_years=value["timestamp_years"],
        )

    # Ends

    def digest_ends(self, name: str) -> datetime | None:
        """When the digest ends; None when no end is known, `NEVER` when it was never accepted."""
        return self.digests.get(name, NEVER)

    def key_ends(self, key: keys.PublicKeyInfo, padding: Padding | None = None) -> datetime | None:
        """When keys of this kind and length end; for RSA by any padding, when none is given."""
        kind = _KINDS.get(key.algorithm, "")
        if kind == "rsa":
            return self._rsa_ends(key.bit_size, padding)
        if kind == "ecdsa":
            form, curve = key.curve
            return self.curves.get(str(curve), NEVER) if form == "named" else NEVER
        return self.edwards.get(kind, NEVER)

    def signature_ends(
        self,
        algorithm: algos.SignedDigestAlgorithm,
        key: keys.PublicKeyInfo | None,
        digest: str | None = None,
    ) -> datetime | None:
        """When signatures by this algorithm, with this key, end. `digest` is the one it does not name itself."""
        try:
            scheme = algorithm.signature_algo
        except ValueError:
            return NEVER
        if key is not None and not _fits(scheme, key):
            return NEVER
        named = scheme_digest(algorithm) or digest
        return ends_first(
            self.digest_ends(named) if named else None,
            self.key_ends(key, _PADDINGS.get(scheme)) if key is not None else self._scheme_ends(scheme),
        )

    def signer_ends(self, signer: cms.SignerInfo, certificate: x509.Certificate) -> datetime | None:
        """When a CMS signature ends: its algorithm, its digest or its key, whichever does first."""
        digest = signer["digest_algorithm"]["algorithm"].native
        return ends_first(
            self.digest_ends(digest),
            self.signature_ends(signer["signature_algorithm"], certificate.public_key, digest),
        )

    def imprint_ends(self, token: cms.SignedData) -> datetime | None:
        """When the digest ends that a timestamp token (RFC 3161) has of what it is for."""
        info: tsp.TSTInfo = token["encap_content_info"]["content"].parsed
        return self.digest_ends(info["message_imprint"]["hash_algorithm"]["algorithm"].native)

    def accepts(self, ends: datetime | None, at: datetime) -> bool:
        """Whether what ends then is accepted at that time."""
        return ends is None or at < ends

    def digest_for(self, at: datetime) -> str:
        """The digest for a new timestamp: the first preferred one that is good for years, else the longest lived.

        Raises `AlgorithmPolicyError` when all of them have ended.
        """
        wanted = _years_later(at, self.timestamp_years)
        for name in self.timestamp_digests:
            if self.accepts(self.digest_ends(name), wanted):
                return name
        last = max(self.timestamp_digests, key=lambda name: self.digest_ends(name) or wanted)
        if not self.accepts(self.digest_ends(last), at):
            raise AlgorithmPolicyError(
                f"all digests for timestamps in {self.name} have ended",
                remedy="name newer ones under timestamps.digests",
            )
        return last

    def _rsa_ends(self, bits: int, padding: Padding | None) -> datetime | None:
        found: list[datetime | None] = []
        for each in ("pkcs1", "pss") if padding is None else (padding,):
            rules = [rule for rule in self.rsa if rule.padding == each and rule.bits <= bits]
            if rules:
                found.append(max(rules, key=lambda rule: rule.bits).ends)
        return ends_last(*found) if found else NEVER

    def _scheme_ends(self, scheme: str) -> datetime | None:
        """Of a scheme with its best key: all that can be said where the key is not known."""
        if scheme in _PADDINGS:
            ends = [rule.ends for rule in self.rsa if rule.padding == _PADDINGS[scheme]]
        elif scheme == "ecdsa":
            ends = list(self.curves.values())
        else:
            ends = [self.edwards.get(scheme, NEVER)]
        return ends_last(*ends) if ends else NEVER

    # For pyHanko

    def digest_algorithm_allowed(
        self, algo: algos.DigestAlgorithm, moment: datetime | None
    ) -> AlgorithmUsageConstraint:
        return _constraint(self.digest_ends(algo["algorithm"].native), moment)

    def signature_algorithm_allowed(
        self,
        algo: algos.SignedDigestAlgorithm,
        moment: datetime | None,
        public_key: keys.PublicKeyInfo | None,
    ) -> AlgorithmUsageConstraint:
        return _constraint(self.signature_ends(algo, public_key), moment)


def scheme_of_signature(algorithm: algos.SignedDigestAlgorithm) -> str:
    """rsassa_pkcs1v15, rsassa_pss, ecdsa, ed25519, ed448 …; empty for one that is not known."""
    try:
        return str(algorithm.signature_algo)
    except ValueError:
        return ""


def scheme_digest(algorithm: algos.SignedDigestAlgorithm) -> str | None:
    """The digest that a signature algorithm names, as in `hashlib`; None where it names none (RFC 3370 3.2)."""
    try:
        return str(algorithm.hash_algo)
    except ValueError:
        return _DIGESTS.get(algorithm["algorithm"].native)


def ends_first(*ends: datetime | None) -> datetime | None:
    """The earliest of several ends, where None is none."""
    return min((end for end in ends if end is not None), default=None)


def ends_last(*ends: datetime | None) -> datetime | None:
    """The latest of several ends, where None is none."""
    return None if None in ends else max(cast("Sequence[datetime]", ends))


def _fits(scheme: str, key: keys.PublicKeyInfo) -> bool:
    kind = _KINDS.get(key.algorithm)
    return kind == ("rsa" if scheme in _PADDINGS else scheme)


def _constraint(ends: datetime | None, moment: datetime | None) -> AlgorithmUsageConstraint:
    """pyHanko's answer: by its `not_allowed_after` it knows that a proof of existence may help.

    Without a moment the question is whether it was ever accepted: digests of what is not a signature are asked so.
    """
    if ends is NEVER or (ends is not None and moment is not None and moment >= ends):
        since = "it is not accepted" if ends is NEVER else f"it ended {ends:%Y-%m-%d}"
        return AlgorithmUsageConstraint(False, _last_moment(ends), since)
    return AlgorithmUsageConstraint(True, _last_moment(ends))


def _last_moment(ends: datetime | None) -> datetime | None:
    """pyHanko goes back to this time, at which the algorithm must still be accepted."""
    return None if ends is None or ends is NEVER else ends - timedelta(seconds=1)


def _years_later(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:  # the 29th of February
        return moment.replace(year=moment.year + years, day=28)


# Reading the file


class _Fault(ValueError):
    """What is wrong with a field, by its path."""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise AlgorithmPolicyError(f"the algorithm policy {path} cannot be read ({reason})") from None


@cache
def _built_in() -> AlgorithmPolicy:
    return AlgorithmPolicy.parse(_read(_BUILT_IN), where=str(_BUILT_IN))


def _values(content: dict[str, Any]) -> dict[str, Any]:
    _known(content, "", {"format", "name", "digests", "rsa", "ecdsa", "eddsa", "timestamps"})
    if content.get("format") != _FORMAT:
        raise _Fault(f"format must be {_FORMAT}")
    digests = _table(content, "digests", "")
    stamps = _table(content, "timestamps", "")
    _known(stamps, "timestamps.", {"digests", "years"})
    names = stamps.get("digests")
    if not isinstance(names, list) or not names:
        raise _Fault("timestamps.digests must be a list of digests")
    for name in names:
        if name not in digests or name not in hashlib.algorithms_guaranteed:
            raise _Fault(f"timestamps.digests: {name!r} is none of the digests above")
    years = stamps.get("years")
    if not isinstance(years, int) or isinstance(years, bool) or not 0 <= years <= 100:
        raise _Fault("timestamps.years must be a number from 0 to 100")
    title = content.get("name")
    if not isinstance(title, str) or not title:
        raise _Fault("name must be a text")
    return {
        "name": title,
        "digests": _ends_of(digests, "digests."),
        "rsa": _rsa(content.get("rsa", [])),
        "curves": _ends_of(_table(content, "ecdsa", ""), "ecdsa."),
        "edwards": _ends_of(_table(content, "eddsa", ""), "eddsa."),
        "timestamp_digests": tuple(names),
        "timestamp_years": years,
    }


def _rsa(entries: Any) -> tuple[RsaRule, ...]:
    if not isinstance(entries, list):
        raise _Fault("rsa must be [[rsa]] entries")
    rules = []
    for number, entry in enumerate(entries, 1):
        path = f"rsa (entry {number})."
        if not isinstance(entry, dict):
            raise _Fault(f"{path[:-1]} must be a table")
        _known(entry, path, {"padding", "bits", "ends"})
        if entry.get("padding") not in _PADDINGS.values():
            raise _Fault(f'{path}padding must be "pkcs1" or "pss"')
        bits = entry.get("bits")
        if not isinstance(bits, int) or isinstance(bits, bool) or bits < 1024:
            raise _Fault(f"{path}bits must be a number from 1024")
        rules.append(RsaRule(entry["padding"], bits, _end(entry, path)))
    return tuple(rules)


def _ends_of(table: dict[str, Any], path: str) -> dict[str, datetime | None]:
    found: dict[str, datetime | None] = {}
    for name, entry in table.items():
        if not isinstance(entry, dict):
            raise _Fault(f"{path}{name} must be a table, {{}} when no end is known")
        _known(entry, f"{path}{name}.", {"ends"})
        found[name] = _end(entry, f"{path}{name}.")
    return found


def _end(entry: dict[str, Any], path: str) -> datetime | None:
    value = entry.get("ends")
    if value is None:
        return None
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _Fault(f"{path}ends must be a date as 2029-01-01, without quotes")
    return datetime.combine(value, time(), UTC)


def _table(content: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise _Fault(f"{path}{name} must be a table")
    return value


def _known(table: dict[str, Any], path: str, names: set[str]) -> None:
    for name in table:
        if name not in names:
            raise _Fault(f"{path}{name} is not a field; known are {', '.join(sorted(names))}")
