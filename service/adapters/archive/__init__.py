"""Archive packages: E-ARK SIP with METS, PREMIS and Noark 5, one agreement a package.

package        writing one: a folder or a tar file, and checksums beside it
reading        opening one, distrustfully
mets, premis   what the package is, and what has happened to it
noark          the agreement in Noark's terms; arkivmelding and arkivstruktur write it
formats, xml   names of file formats; XML that is the same each time
"""

from __future__ import annotations

from service.adapters.archive.noark import Creator, Disposal
from service.adapters.archive.package import SipWriter
from service.adapters.archive.reading import Package, find_packages, open_package

__all__ = ["Creator", "Disposal", "Package", "SipWriter", "find_packages", "open_package"]
