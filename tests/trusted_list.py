"""EU trusted lists (ETSI TS 119 612) of the test PKI, signed as their operators sign them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from asn1crypto import pem
from lxml import etree
from signxml import DigestAlgorithm, SignatureMethod
from signxml.xades import XAdESSigner

__all__ = ["CA", "GRANTED", "QTST", "WITHDRAWN", "Service", "trusted_list"]

_URI = "http://uri.etsi.org/TrstSvc"
CA, QTST = f"{_URI}/Svctype/CA/QC", f"{_URI}/Svctype/TSA/QTST"
GRANTED, WITHDRAWN = (f"{_URI}/TrustedList/Svcstatus/{name}" for name in ("granted", "withdrawn"))


@dataclass(frozen=True)
class Service:
    """A service with its status of late, and those it had before."""

    kind: str
    certificate: Path
    statuses: Sequence[tuple[str, datetime]]
    """Newest first, each with the time from which it holds."""
    types: Sequence[str] = ("ForeSignatures", "ForeSeals")

    def xml(self) -> str:
        encoded = b64encode(pem.unarmor(self.certificate.read_bytes())[2]).decode()
        extensions = "".join(
            '<Extension Critical="true"><AdditionalServiceInformation>'
            f'<URI xml:lang="en">{_URI}/TrustedList/SvcInfoExt/{name}</URI></AdditionalServiceInformation></Extension>'
            for name in (self.types if self.kind == CA else ())
        )
        extensions = (
            f"<ServiceInformationExtensions>{extensions}</ServiceInformationExtensions>" if extensions else ""
        )

        def status(name: str, since: datetime) -> str:
            return (
                f"<ServiceTypeIdentifier>{self.kind}</ServiceTypeIdentifier>"
                '<ServiceName><Name xml:lang="en">A service</Name></ServiceName>'
                "<ServiceDigitalIdentity><DigitalId>"
                f"<X509Certificate>{encoded}</X509Certificate></DigitalId></ServiceDigitalIdentity>"
                f"<ServiceStatus>{name}</ServiceStatus>"
                f"<StatusStartingTime>{since:%Y-%m-%dT%H:%M:%SZ}</StatusStartingTime>{extensions}"
            )

        now, *before = (status(*each) for each in self.statuses)
        history = "".join(f"<ServiceHistoryInstance>{each}</ServiceHistoryInstance>" for each in before)
        history = f"<ServiceHistory>{history}</ServiceHistory>" if history else ""
        return f"<TSPService><ServiceInformation>{now}</ServiceInformation>{history}</TSPService>"


_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"


class _Signer(XAdESSigner):
    """Says of each reference how it is canonicalised, as real lists do: the library leaves that out of its own."""

    def _add_reference_to_signed_info(self, sig_root: Any, node_to_reference: Any, **attrs: Any) -> None:
        super()._add_reference_to_signed_info(sig_root, node_to_reference, **attrs)
        *_, reference = sig_root.iter(f"{_DS}Reference")
        transforms = etree.Element(f"{_DS}Transforms")
        etree.SubElement(transforms, f"{_DS}Transform", Algorithm=_EXCLUSIVE)
        reference.insert(0, transforms)


def trusted_list(*services: Service, key: Path, certificate: Path) -> bytes:
    """The list, signed with XAdES by this key and certificate (PEM)."""
    body = "".join(service.xml() for service in services)
    text = (
        '<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#" Id="list" '
        'TSLTag="http://uri.etsi.org/19612/TSLTag">'
        "<SchemeInformation><TSLVersionIdentifier>5</TSLVersionIdentifier>"
        "<TSLSequenceNumber>1</TSLSequenceNumber></SchemeInformation>"
        "<TrustServiceProviderList><TrustServiceProvider><TSPInformation>"
        '<TSPName><Name xml:lang="en">A provider</Name></TSPName></TSPInformation>'
        f"<TSPServices>{body}</TSPServices></TrustServiceProvider></TrustServiceProviderList>"
        "</TrustServiceStatusList>"
    )
    signer = _Signer(
        signature_algorithm=SignatureMethod.ECDSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=_EXCLUSIVE,
    )
    signed = signer.sign(
        etree.fromstring(text), key=key.read_bytes(), cert=certificate.read_text(), always_add_key_value=False
    )
    encoded: bytes = etree.tostring(signed, xml_declaration=True, encoding="UTF-8")
    return encoded
