"""The XML report against ETSI's own schema, which comes with EU DSS."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from signing import validate
from tests.conformance.maven import fetch
from tests.signing_documents import Signers

pytestmark = [pytest.mark.conformance, pytest.mark.pki]

# The schema names these by addresses of the web; they are in the same jars.
_IMPORTED = {
    "xmldsig-core-schema.xsd": "xmldsig-core-schema.xsd",
    "XAdES.xsd": "XAdES01903v132-202407.xsd",
    "ts_119612v020201_201601xsd.xsd": "ts_119612v020101_xsd.xsd",
    "xml.xsd": "xml.xsd",
}


def _schemas(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for jar in sorted(folder.glob("specs-*.jar")):
        with zipfile.ZipFile(jar) as content:
            for name in content.namelist():
                if name.startswith("xsd/") and name.endswith(".xsd"):
                    found[name.removeprefix("xsd/")] = content.read(name)
    return found


def test_reports_are_valid_by_the_schema(final: bytes, fielded: bytes, signers: Signers) -> None:
    schemas = _schemas(fetch("dss"))

    class Resolver(etree.Resolver):
        def resolve(self, url: str, _public: str, context: Any) -> Any:
            name = _IMPORTED.get(url.rsplit("/", 1)[-1])
            return self.resolve_string(schemas[name] if name else b"", context)

    parser = etree.XMLParser(load_dtd=False, no_network=True)
    parser.resolvers.add(Resolver())
    schema = etree.XMLSchema(etree.parse(io.BytesIO(schemas["TS119102-2-v122.xsd"]), parser))
    altered = final.replace(b"/F 132", b"/F 133", 1)
    for content in (final, fielded, altered, b""):
        schema.assertValid(etree.fromstring(validate(content, signers.trust).as_xml()))
