"""Issuers: whose tokens are taken, and as whom. The file `SIGNERT_ISSUERS`, read once and checked whole.

    [issuers.employees]
    issuer = "https://login.example.no/tenant"
    audience = "signert"
    role = {claim = "groups", archivist = ["g-archive"], operator = ["g-operations"]}

docs/http.md has every field. Claims are named by their path: `consumer.ID` is `ID` in the object `consumer`; lists on
the way are gone through.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from service.domain.access import Reader, ReaderRole
from service.domain.identifiers import is_national_id, is_organisation_number
from service.errors import ConfigurationError, RoleMissing

__all__ = ["ALGORITHMS", "Issuer", "load_issuers", "reader_of", "values_at"]

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""JWS algorithms (RFC 7518, RFC 8037) that are taken; asymmetric ones only."""

_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_IDENT: Final = re.compile(r"[A-Z][0-9]{6}")
_MAX_LEEWAY: Final = 300
_FIELDS: Final = {
    "issuer", "audience", "jwks", "algorithms", "leeway", "role", "require", "national_id", "ident",
    "organisations", "case_systems",
}  # fmt: skip


@dataclass(frozen=True)
class Issuer:
    """One provider. `name` is what the access log calls it, `issuer` its `iss`."""

    name: str
    issuer: str
    audience: frozenset[str]
    jwks: str | Path | None
    """Where its keys are: an address, or a file; None for the address that its discovery document names."""
    algorithms: frozenset[str]
    leeway: int
    role: ReaderRole | None
    role_claim: str | None
    roles: Mapping[str, ReaderRole] = field(default_factory=dict)
    """By the claim's values, where not all its tokens are for one role."""
    require: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Claims of which one value must be among these."""
    national_id: str | None = None
    ident: str | None = None
    organisations: str | None = None
    case_systems_claim: str | None = None
    case_systems: Mapping[str, frozenset[str]] | None = None
    """Names of case systems by the claim's values; None where the values are the names."""


def load_issuers(path: Path, *, production: bool) -> tuple[Issuer, ...]:
    """The issuers in the file. Raises `ConfigurationError` that names the place of each fault."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise _unusable([f"cannot be read ({exc.strerror})"]) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise _unusable([f"is not TOML ({exc})"]) from exc
    faults: list[str] = []
    found: list[Issuer] = []
    entries = table.get("issuers")
    if table.keys() != {"issuers"} or not isinstance(entries, dict) or not entries:
        raise _unusable(["must have [issuers.NAME] tables, and nothing else"])
    for name, entry in entries.items():
        try:
            found.append(_issuer(name, entry, path.parent, production=production))
        except _Fault as fault:
            faults.append(f"issuers.{name}{fault}")
    if not faults and len({i.issuer for i in found}) != len(found):
        faults.append("two have the same issuer")
    if faults:
        raise _unusable(faults)
    return tuple(found)


class _Fault(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where and '.'}{where}: {what}")


def _unusable(faults: list[str]) -> ConfigurationError:
    return ConfigurationError(
        f"SIGNERT_ISSUERS: {'; '.join(faults)}", remedy="The shape of the file is in docs/http.md."
    )


def _issuer(name: str, entry: object, folder: Path, *, production: bool) -> Issuer:
    if not _NAME.fullmatch(name):
        raise _Fault("", "a name is 1 to 40 lower-case letters, digits and hyphens")
    if not isinstance(entry, dict):
        raise _Fault("", "must be a table")
    if unknown := entry.keys() - _FIELDS:
        raise _Fault("", f"must not have {', '.join(sorted(unknown))}")
    if missing := {"issuer", "audience", "role"} - entry.keys():
        raise _Fault("", f"lacks {', '.join(sorted(missing))}")
    issuer = _text(entry["issuer"], "issuer")
    _check_address(issuer, "issuer", production=production)
    jwks = entry.get("jwks")
    if jwks is not None and "://" in _text(jwks, "jwks"):
        _check_address(jwks, "jwks", production=production)
    elif jwks is not None:
        jwks = folder / jwks
    algorithms = _texts(entry.get("algorithms", list(ALGORITHMS)), "algorithms")
    if refused := algorithms - set(ALGORITHMS):
        raise _Fault(
            "algorithms", f"{', '.join(sorted(refused))} is not taken; choose of {', '.join(ALGORITHMS)}"
        )
    leeway = entry.get("leeway", 30)
    if not isinstance(leeway, int) or isinstance(leeway, bool) or not 0 <= leeway <= _MAX_LEEWAY:
        raise _Fault("leeway", f"must be 0 to {_MAX_LEEWAY} seconds")
    role, role_claim, roles = _roles(entry["role"])
    require = entry.get("require", {})
    if not isinstance(require, dict):
        raise _Fault("require", "must be a table of claims, each with the values that will do")
    systems_claim, systems = _case_systems(entry.get("case_systems"))
    given = {n: _text(entry[n], n) for n in ("national_id", "ident", "organisations") if n in entry}
    all_roles = {role, *roles.values()}
    if ReaderRole.PARTY in all_roles and not given:
        raise _Fault("", "a party is known by national_id, ident or organisations: name the claim of one")
    if ReaderRole.CASE_SYSTEM in all_roles and systems_claim is None:
        raise _Fault("", "a case system is known by case_systems: name its claim")
    return Issuer(
        name=name,
        issuer=issuer,
        audience=_texts(entry["audience"], "audience"),
        jwks=jwks,
        algorithms=algorithms,
        leeway=leeway,
        role=role,
        role_claim=role_claim,
        roles=roles,
        require={claim: _texts(values, f"require.{claim}") for claim, values in require.items()},
        case_systems_claim=systems_claim,
        case_systems=systems,
        **given,
    )


def _roles(value: object) -> tuple[ReaderRole | None, str | None, dict[str, ReaderRole]]:
    """One role for all, or a table of a claim and, by role, the values that mean it."""
    if isinstance(value, str):
        return _role(value, "role"), None, {}
    if not isinstance(value, dict) or "claim" not in value:
        raise _Fault("role", "must be a role, or a table with claim and, by role, its values")
    claim = _text(value["claim"], "role.claim")
    roles: dict[str, ReaderRole] = {}
    for name, values in value.items():
        if name == "claim":
            continue
        for each in _texts(values, f"role.{name}"):
            if roles.setdefault(each, _role(name, "role")) != name:
                raise _Fault(f"role.{name}", "a value stands for two roles")
    if not roles:
        raise _Fault("role", "names no role")
    return None, claim, roles


def _role(value: str, where: str) -> ReaderRole:
    try:
        return ReaderRole(value)
    except ValueError:
        raise _Fault(where, f"is not one of {', '.join(ReaderRole)}") from None


def _case_systems(value: object) -> tuple[str | None, dict[str, frozenset[str]] | None]:
    if value is None:
        return None, None
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict) or "claim" not in value:
        raise _Fault(
            "case_systems", "must be a claim, or a table with claim and, by its value, the case systems"
        )
    systems = {k: _texts(v, f"case_systems.{k}") for k, v in value.items() if k != "claim"}
    for key, names in systems.items():
        if any(not _NAME.fullmatch(each) for each in names):
            raise _Fault(f"case_systems.{key}", "a case system is lower-case letters, digits and hyphens")
    return _text(value["claim"], "case_systems.claim"), systems


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _Fault(where, "must be a text")
    return value


def _texts(value: object, where: str) -> frozenset[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
        raise _Fault(where, "must be a text, or a list of texts")
    return frozenset(values)


def _check_address(value: str, where: str, *, production: bool) -> None:
    """Tokens are worth what the way to their keys is worth: TLS, but for a provider on this machine in development."""
    parts = urlsplit(value)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"} and not production
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise _Fault(where, "must be https://…")
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise _Fault(where, "must be an address with a host, and no password")


# --- from claims to a reader ---


def values_at(claims: Mapping[str, Any], path: str) -> Set[str]:
    """Every text at `path`. A claim of just that name (`https://example.no/role`) goes before a path."""
    if path in claims:
        return set(_leaves(claims[path], ()))
    return set(_leaves(claims, tuple(path.split("."))))


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif path:
        if isinstance(value, Mapping) and path[0] in value:
            yield from _leaves(value[path[0]], path[1:])
    elif isinstance(value, str):
        yield value


def reader_of(issuer: Issuer, claims: Mapping[str, Any]) -> Reader:
    """Who the bearer of these checked claims is. Raises `RoleMissing`."""
    for claim, allowed in issuer.require.items():
        values = values_at(claims, claim)
        if not (values | (_split(values) if claim == "scope" else set())) & allowed:
            raise RoleMissing(
                f"the token lacks what this service asks of the claim {claim}",
                code="claim_missing",
                remedy="Sign in at the level, or with the scope, that docs/http.md asks for.",
            )
    role = issuer.role or _role_of(issuer, claims)
    subject = next(
        (v for c in ("sub", "client_id", "azp") if isinstance(v := claims.get(c), str) and v), None
    )
    if role is None or subject is None:
        raise RoleMissing(
            "whoever this token is for has no role here", remedy="Ask for access where roles are given out."
        )
    national_id = _single(issuer.national_id, claims)
    ident = _single(issuer.ident, claims)
    organisations = {v.rpartition(":")[2] for v in values_at(claims, issuer.organisations or "")}
    party = role is ReaderRole.PARTY
    reader = Reader(
        role=role,
        issuer=issuer.name,
        subject=subject,
        national_id=national_id if party and national_id and is_national_id(national_id) else None,
        ident=ident if party and ident and _IDENT.fullmatch(ident) else None,
        organisations=frozenset(filter(is_organisation_number, organisations)) if party else frozenset(),
        case_systems=frozenset(_systems(issuer, claims)) if role is ReaderRole.CASE_SYSTEM else frozenset(),
    )
    known = reader.national_id or reader.ident or reader.organisations or reader.case_systems
    if role in {ReaderRole.PARTY, ReaderRole.CASE_SYSTEM} and not known:
        raise RoleMissing(
            "the token does not say who its bearer is to an agreement",
            remedy="Have the provider put the claims in that docs/http.md names.",
        )
    return reader


def _split(values: Set[str]) -> Set[str]:
    """Scopes, which stand in one text (RFC 8693 4.2)."""
    return {part for value in values for part in value.split()}


def _role_of(issuer: Issuer, claims: Mapping[str, Any]) -> ReaderRole | None:
    """The first of the reader's roles, in the order archivist, party, case system, operator."""
    values = values_at(claims, issuer.role_claim or "")
    values = values | (_split(values) if issuer.role_claim == "scope" else set())
    found = {issuer.roles[value] for value in values if value in issuer.roles}
    return next((role for role in ReaderRole if role in found), None)


def _single(path: str | None, claims: Mapping[str, Any]) -> str | None:
    values = values_at(claims, path) if path else set()
    return next(iter(values)) if len(values) == 1 else None


def _systems(issuer: Issuer, claims: Mapping[str, Any]) -> Iterator[str]:
    for value in values_at(claims, issuer.case_systems_claim or ""):
        if issuer.case_systems is not None:
            yield from issuer.case_systems.get(value, ())
        elif _NAME.fullmatch(value):
            yield value
