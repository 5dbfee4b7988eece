"""METS of an E-ARK submission information package (CSIP and SIP 2.1): of the whole, and of its one representation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from service.adapters.archive.xml import XSI, child, identifier, root, to_bytes

__all__ = ["METS", "XLINK", "Described", "Group", "package_mets", "representation_mets"]

METS: Final = "http://www.loc.gov/METS/"
XLINK: Final = "http://www.w3.org/1999/xlink"
_CSIP: Final = "https://DILCIS.eu/XML/METS/CSIPExtensionMETS"
_SIP: Final = "https://DILCIS.eu/XML/METS/SIPExtensionMETS"
_PROFILE: Final = "https://earksip.dilcis.eu/profile/E-ARK-SIP.xml"
_CATEGORY: Final = "Textual works \N{EN DASH} Digital"
_CONTENT_TYPE: Final = "Signert agreement, Noark 5"
_PREFIXES: Final[dict[str | None, str]] = {None: METS, "xlink": XLINK, "xsi": XSI, "csip": _CSIP, "sip": _SIP}


@dataclass(frozen=True)
class Described:
    """A file as METS tells of it; `path` is relative to the METS file, `key` what the store calls it."""

    path: str
    sha256: str
    size: int
    created: str
    media_type: str
    key: str | None = None
    format_name: str | None = None
    format_version: str | None = None
    puid: str | None = None


@dataclass(frozen=True)
class Group:
    """Files of one use: `Documentation`, `Schemas`, `Representations/…` or `Data`."""

    use: str
    files: Sequence[Described]


class _Document:
    """One METS file under way. Ids are derived from the package's id and what they stand for."""

    def __init__(self, scope: str, name: str, label: str) -> None:
        self.scope, self.name = scope, name
        self.root = root(METS, "mets", _PREFIXES)
        self.root.set("OBJID", name)
        self.root.set("LABEL", label)
        self.root.set("TYPE", _CATEGORY)
        self.root.set("PROFILE", _PROFILE)
        self.root.set(f"{{{_CSIP}}}CONTENTINFORMATIONTYPE", "OTHER")
        self.root.set(f"{{{_CSIP}}}OTHERCONTENTINFORMATIONTYPE", _CONTENT_TYPE)
        self.root.set(f"{{{XSI}}}schemaLocation", self._schema_locations())

    def _schema_locations(self) -> str:
        up = "" if self.name == self.scope else "../../"
        pairs = (
            (METS, "mets.xsd"),
            (XLINK, "xlink.xsd"),
            (_CSIP, "DILCISExtensionMETS.xsd"),
            (_SIP, "DILCISExtensionSIPMETS.xsd"),
        )
        return " ".join(f"{namespace} {up}schemas/{name}" for namespace, name in pairs)

    def id(self, *parts: str) -> str:
        return f"uuid-{identifier(self.scope, self.name, *parts)}"

    def header(
        self, at: str, software: str, document_id: str, reference: str, creator: tuple[str, str] | None
    ) -> None:
        header = child(self.root, "metsHdr", attributes={"CREATEDATE": at, "LASTMODDATE": at})
        header.set("RECORDSTATUS", "NEW")
        header.set(f"{{{_CSIP}}}OAISPACKAGETYPE", "SIP")
        agent = child(
            header, "agent", attributes={"ROLE": "CREATOR", "TYPE": "OTHER", "OTHERTYPE": "SOFTWARE"}
        )
        child(agent, "name", "Signert")
        child(agent, "note", software, {f"{{{_CSIP}}}NOTETYPE": "SOFTWARE VERSION"})
        if creator:
            archivist = child(header, "agent", attributes={"ROLE": "ARCHIVIST", "TYPE": "ORGANIZATION"})
            child(archivist, "name", creator[1])
            child(archivist, "note", creator[0], {f"{{{_CSIP}}}NOTETYPE": "IDENTIFICATIONCODE"})
        child(header, "altRecordID", reference, {"TYPE": "REFERENCECODE"})
        child(header, "metsDocumentID", document_id)

    def metadata(self, section: etree._Element, file: Described, kind: dict[str, str]) -> str:
        """A reference to a file of metadata in `section` (dmdSec or digiprovMD); the section's id."""
        found = self.id(file.path)
        section.set("ID", found)
        section.set("CREATED", file.created)
        section.set("STATUS", "CURRENT")
        attributes = {"LOCTYPE": "URL", **kind, **_about(file)}
        reference = child(section, "mdRef", attributes=attributes)
        _point(reference, file.path)
        return found

    def files(self, groups: Iterable[Group]) -> None:
        section = child(self.root, "fileSec", attributes={"ID": self.id("fileSec")})
        for group in groups:
            element = child(
                section, "fileGrp", attributes={"ID": self.id("fileGrp", group.use), "USE": group.use}
            )
            element.set(f"{{{_CSIP}}}CONTENTINFORMATIONTYPE", "OTHER")
            element.set(f"{{{_CSIP}}}OTHERCONTENTINFORMATIONTYPE", _CONTENT_TYPE)
            for file in group.files:
                self._file(element, file)

    def _file(self, group: etree._Element, file: Described) -> None:
        element = child(group, "file", attributes={"ID": self.id(file.path), **_about(file)})
        if file.key:
            element.set("OWNERID", file.key)
        about = {
            "FILEFORMATNAME": file.format_name,
            "FILEFORMATVERSION": file.format_version,
            "FORMATREGISTRY": "PRONOM" if file.puid else None,
            "FORMATREGISTRYKEY": file.puid,
        }
        for name, value in about.items():
            if value:
                element.set(f"{{{_SIP}}}{name}", value)
        location = child(element, "FLocat", attributes={"LOCTYPE": "URL"})
        _point(location, file.path)

    def structure(self, descriptive: Sequence[str], preservation: Sequence[str], uses: Iterable[str]) -> None:
        structure = child(self.root, "structMap", attributes={"TYPE": "PHYSICAL", "LABEL": "CSIP"})
        structure.set("ID", self.id("structMap"))
        top = child(structure, "div", attributes={"ID": self.id("div"), "LABEL": self.name})
        metadata = child(top, "div", attributes={"ID": self.id("div", "Metadata"), "LABEL": "Metadata"})
        if preservation:
            metadata.set("ADMID", " ".join(preservation))
        if descriptive:
            metadata.set("DMDID", " ".join(descriptive))
        for use in uses:
            division, _, name = use.partition("/")
            element = child(top, "div", attributes={"ID": self.id("div", division), "LABEL": division})
            child(element, "fptr", attributes={"FILEID": self.id("fileGrp", use)})
            if name:
                inner = child(element, "div", attributes={"ID": self.id("div", use), "LABEL": use})
                pointer = child(inner, "mptr", attributes={"LOCTYPE": "URL"})
                _point(pointer, f"representations/{name}/METS.xml")
                pointer.set(f"{{{XLINK}}}title", self.id("fileGrp", use))


def _about(file: Described) -> dict[str, str]:
    return {
        "MIMETYPE": file.media_type,
        "SIZE": str(file.size),
        "CREATED": file.created,
        "CHECKSUM": file.sha256,
        "CHECKSUMTYPE": "SHA-256",
    }


def _point(element: etree._Element, path: str) -> None:
    element.set(f"{{{XLINK}}}type", "simple")
    element.set(f"{{{XLINK}}}href", path)


def package_mets(
    package_id: str,
    *,
    at: str,
    software: str,
    head: str,
    reference: str,
    creator: tuple[str, str] | None,
    descriptive: Sequence[tuple[Described, str]],
    preservation: Sequence[Described],
    groups: Sequence[Group],
) -> bytes:
    """The METS of the package. `descriptive` has each file with the name of its kind of metadata; `head` is the
    SHA-256 of the newest log entry, by which a later export sees whether anything has changed; `creator` is the id and
    name of the organisation whose archive it is."""
    document = _Document(package_id, package_id, f"Agreement {package_id}")
    document.header(at, software, head, reference, creator)
    described = [
        document.metadata(
            child(document.root, "dmdSec"),
            file,
            {"MDTYPE": "OTHER", "OTHERMDTYPE": kind, "MDTYPEVERSION": "5"},
        )
        for file, kind in descriptive
    ]
    section = child(document.root, "amdSec", attributes={"ID": document.id("amdSec")})
    preserved = [
        document.metadata(child(section, "digiprovMD"), file, {"MDTYPE": "PREMIS", "MDTYPEVERSION": "3.0"})
        for file in preservation
    ]
    document.files(groups)
    document.structure(described, preserved, [g.use for g in groups])
    return to_bytes(document.root)


def representation_mets(
    package_id: str,
    name: str,
    *,
    at: str,
    software: str,
    head: str,
    reference: str,
    other: Sequence[tuple[Described, str]],
    files: Sequence[Described],
) -> bytes:
    document = _Document(package_id, name, f"Representation {name} of agreement {package_id}")
    document.header(at, software, head, reference, None)
    section = child(document.root, "amdSec", attributes={"ID": document.id("amdSec")})
    kept = [
        document.metadata(child(section, "digiprovMD"), file, {"MDTYPE": "OTHER", "OTHERMDTYPE": kind})
        for file, kind in other
    ]
    document.files([Group("Data", files)])
    document.structure([], kept, ["Data"])
    return to_bytes(document.root)
