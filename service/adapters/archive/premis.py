"""PREMIS 3: every file with its fixity and format, every log entry as an event, and roles as agents.

Agents are roles, not names: who signed stands in the documents. An event has the type that the Library of Congress's
vocabulary has for it, where it has one, else the log's own name; that name always stands in the event's detail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lxml import etree

from service.adapters.archive.formats import format_of
from service.adapters.archive.xml import XSI, child, root, to_bytes
from service.domain.agreement import SEAL
from service.domain.archive import Dossier, Holding
from service.domain.log import Entry

__all__ = ["PREMIS", "event_type", "premis"]

PREMIS: Final = "http://www.loc.gov/premis/v3"
_VOCABULARY: Final = "http://id.loc.gov/vocabulary/preservation/eventType"
_EVENT_TYPES: Final[Mapping[str, str]] = {
    "submitted": "capture",
    "amended": "capture",
    "paper-attached": "capture",
    "rendered": "creation",
    "receipt-rendered": "creation",
    "sealed": "digital signature generation",
    "party-signed": "digital signature generation",
    "signed": "digital signature generation",
    "renewed": "digital signature generation",
    "augmented": "modification",
    "verified": "digital signature validation",
}
_SOFTWARE: Final = "signert"
_AGREEMENT: Final = "agreement"
_REPRESENTATION: Final = "representation"


def event_type(entry_type: str) -> tuple[str, bool]:
    """The event's type, and whether it is of the Library of Congress's vocabulary."""
    found = _EVENT_TYPES.get(entry_type)
    return (found, True) if found else (entry_type, False)


def premis(dossier: Dossier, holdings: Sequence[Holding], *, software: str, representation: str) -> bytes:
    document = root(PREMIS, "premis", {None: PREMIS, "xsi": XSI}, version="3.0")
    _entity(document, dossier)
    _representation(document, dossier, representation, holdings)
    namers = _namers(dossier)
    for holding in holdings:
        _file(document, holding, namers.get(holding.content.key, ()))
    agents: dict[str, str] = {_SOFTWARE: "software"}
    held = {h.content.key for h in holdings}
    for entry in dossier.entries:
        _event(document, dossier, entry, held, agents)
    for agent, kind in agents.items():
        _agent(document, agent, kind, software)
    return to_bytes(document)


def _namers(dossier: Dossier) -> dict[str, list[int]]:
    """The entries that name each object; an entry's own object is named by itself."""
    found: dict[str, list[int]] = {}
    for entry in dossier.entries:
        for key in (entry.key, *dossier.names[entry.seq]):
            found.setdefault(key, []).append(entry.seq)
    return {key: sorted(set(seqs)) for key, seqs in found.items()}


def _identify(parent: etree._Element, name: str, kind: str, value: str, *roles: str) -> None:
    element = child(parent, f"{name}Identifier")
    child(element, f"{name}IdentifierType", kind)
    child(element, f"{name}IdentifierValue", value)
    for role in roles:
        child(element, f"{name}Role", role)


def _object(document: etree._Element, kind: str) -> etree._Element:
    return child(document, "object", attributes={f"{{{XSI}}}type": kind})


def _entity(document: etree._Element, dossier: Dossier) -> None:
    entity = _object(document, "intellectualEntity")
    _identify(entity, "object", _AGREEMENT, dossier.id)
    for chapter in dossier.chapters:
        properties = child(entity, "significantProperties")
        child(properties, "significantPropertiesType", f"status of version {chapter.version.number}")
        child(properties, "significantPropertiesValue", chapter.version.status)


def _relate(parent: etree._Element, kind: str, sort: str, related: Sequence[tuple[str, str]]) -> None:
    relationship = child(parent, "relationship")
    child(relationship, "relationshipType", kind)
    child(relationship, "relationshipSubType", sort)
    for name, value in related:
        _identify(relationship, "relatedObject", name, value)


def _representation(
    document: etree._Element, dossier: Dossier, name: str, holdings: Sequence[Holding]
) -> None:
    element = _object(document, "representation")
    _identify(element, "object", _REPRESENTATION, name)
    _relate(element, "structural", "represents", [(_AGREEMENT, dossier.id)])
    _relate(element, "structural", "includes", [_named(h) for h in holdings])


def _named(holding: Holding) -> tuple[str, str]:
    return "store key", holding.content.key


def _file(document: etree._Element, holding: Holding, named_by: Sequence[int]) -> None:
    element = _object(document, "file")
    _identify(element, "object", *_named(holding))
    characteristics = child(element, "objectCharacteristics")
    fixity = child(characteristics, "fixity")
    child(fixity, "messageDigestAlgorithm", "SHA-256")
    child(fixity, "messageDigest", holding.sha256)
    child(characteristics, "size", holding.size)
    known = format_of(holding)
    form = child(characteristics, "format")
    designation = child(form, "formatDesignation")
    child(designation, "formatName", known.name)
    if known.version:
        child(designation, "formatVersion", known.version)
    if known.puid:
        registry = child(form, "formatRegistry")
        child(registry, "formatRegistryName", "PRONOM")
        child(registry, "formatRegistryKey", known.puid)
        child(registry, "formatRegistryRole", "specification")
    child(element, "originalName", holding.content.path)
    _relate(element, "structural", "is part of", [(_REPRESENTATION, "archive")])
    for seq in named_by:
        _identify(element, "linkingEvent", "log entry", f"{seq:08d}")


def _event(
    document: etree._Element, dossier: Dossier, entry: Entry, held: set[str], agents: dict[str, str]
) -> None:
    event = child(document, "event")
    _identify(event, "event", "log entry", f"{entry.seq:08d}")
    name, in_vocabulary = event_type(entry.type)
    authority = {"authority": "eventType", "authorityURI": _VOCABULARY} if in_vocabulary else {}
    child(event, "eventType", name, authority)
    child(event, "eventDateTime", entry.at)
    detail = child(event, "eventDetailInformation")
    about = f"{entry.type}, version {entry.version}"
    if entry.type == "augmented":
        about += f": evidence and document timestamp, PAdES {entry.data.get('level', '')}".rstrip()
    child(detail, "eventDetail", about)
    if "indication" in entry.data:
        child(child(event, "eventOutcomeInformation"), "eventOutcome", entry.data["indication"])
    for agent, role in _acting(entry):
        agents.setdefault(
            agent, "software" if agent == _SOFTWARE else "organization" if agent == SEAL else "person"
        )
        _identify(event, "linkingAgent", "role", agent, role)
    _identify(event, "linkingObject", "store key", entry.key, "record of the event")
    for key in dict.fromkeys(dossier.names[entry.seq]):
        if key in held:
            _identify(event, "linkingObject", "store key", key, "outcome")


def _acting(entry: Entry) -> list[tuple[str, str]]:
    """Who had a part in it: roles of the agreement, and this software, which wrote the entry."""
    acting = []
    data = entry.data
    if entry.type == "party-signed" and (signer := data.get("by") or data.get("role")):
        acting.append((str(signer), "implementer"))
    elif entry.type in {"sealed", "signed"}:
        acting.append((SEAL, "implementer"))
    elif isinstance(role := data.get("role"), str):
        acting.append((role, "authorizer"))
    elif isinstance(producer := data.get("producer"), str):
        acting.append((f"case system {producer}", "authorizer"))
    acting.append((_SOFTWARE, "executing program"))
    return acting


def _agent(document: etree._Element, agent: str, kind: str, software: str) -> None:
    element = child(document, "agent")
    _identify(element, "agent", "role", agent)
    child(element, "agentName", "Signert" if agent == _SOFTWARE else agent)
    child(element, "agentType", "organization" if agent.startswith("case system ") else kind)
    if agent == _SOFTWARE:
        child(element, "agentVersion", software)
