"""XML of archive packages: written the same each time, and read with nothing but what the file holds itself."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final, cast

from lxml import etree

from service.errors import PackageRefused

__all__ = ["MOST", "XSI", "child", "identifier", "parse", "root", "to_bytes"]

XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
MOST: Final = 64 * 1024 * 1024
"""Bytes of an XML file that is read: a METS of a hundred thousand files."""
_NAMESPACE: Final = uuid.UUID("5f0c9a1e-98f5-5a6b-8d7b-2b6c0a4f7d13")
"""For ids that are derived, so that the same agreement gives the same package."""


def identifier(*parts: object) -> str:
    """A UUID (version 5) that is the same each time for the same parts."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


def root(namespace: str, name: str, prefixes: Mapping[str | None, str], **attributes: str) -> etree._Element:
    """A root element; the prefix None is for the default namespace."""
    return etree.Element(f"{{{namespace}}}{name}", attributes, nsmap=cast("Mapping[str, str]", prefixes))


def child(
    parent: etree._Element, name: str, text: object = None, attributes: dict[str, str] | None = None
) -> etree._Element:
    """A new last element in the parent's namespace, unless the name has its own (`{…}name`)."""
    if not name.startswith("{"):
        name = f"{{{etree.QName(parent).namespace}}}{name}"
    made = etree.SubElement(parent, name, attributes or {})
    if text is not None:
        made.text = str(text)
    return made


def to_bytes(element: etree._Element) -> bytes:
    etree.indent(element)
    return bytes(etree.tostring(element, xml_declaration=True, encoding="UTF-8")) + b"\n"


def parse(body: bytes, where: str) -> etree._Element:
    """The root element. Raises `PackageRefused` for what is no XML, or has a document type and so could have entities.

    Nothing outside the file is ever read. `where` is the file's path in the package, for the error.
    """
    if len(body) > MOST:
        raise PackageRefused(f"{where} has more than {MOST} bytes", code="package_unsafe")
    if b"\0" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise PackageRefused(
            f"{where} has a document type declaration, or is not in UTF-8",
            code="package_unsafe",
            remedy="Signert writes neither: find out who has altered the package.",
        )
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        found = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as exc:
        raise PackageRefused(
            f"{where} is not well-formed XML (line {exc.lineno})", code="package_altered"
        ) from None
    if found.getroottree().docinfo.encoding not in {None, "UTF-8", "utf-8", "ASCII", "US-ASCII"}:
        raise PackageRefused(f"{where} is not in UTF-8", code="package_unsafe")
    return found
