"""From LibreOffice's PDF/A-2b + PDF/UA-1 to PDF/A-2a or, with attachments, PDF/A-3a.

LibreOffice already writes what level A asks of the content: structure, language, Unicode for every glyph. What is
missing is the metadata that says so (ISO 19005-2 6.6, with the extension schema for PDF/UA's own property), and the
associated files of ISO 19005-3 6.8. Content, structure and annotations are carried over as they are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from pypdf.errors import PyPdfError
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    ByteStringObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

from service.adapters.pdf.artifacts import mark_drawings
from service.adapters.pdf.document import Document
from service.adapters.pdf.fonts import check_embedded, check_glyphs, name_symbols
from service.adapters.pdf.text import text_of
from service.domain.ports import Attachment, FinishedPdf
from service.errors import NotArchivable, RenderFailed


@dataclass(frozen=True)
class _Facts:
    """What the metadata says of the document. `when` is in UTC, whole seconds."""

    title: str
    language: str
    author: str
    creator: str
    producer: str
    when: datetime

    @property
    def date(self) -> str:
        """`when` as PDF writes it (ISO 32000-1 7.9.4)."""
        return _date(self.when)


def finish(
    pdf: bytes,
    *,
    title: str,
    language: str,
    attachments: Sequence[Attachment] = (),
    created: datetime | None = None,
    author: str = "",
    creator: str = "Signert",
) -> FinishedPdf:
    """The document as PDF/A-2a + PDF/UA-1, with its text; with `attachments`, PDF/A-3a + PDF/UA-1.

    `title` is what a reader's window shows, `language` a BCP 47 tag (`nb-NO`, `nn-NO`), `created` an aware time
    (when not given, the time of the conversion), `author` the organisation. The same input and `created`
    give the same bytes, identifiers included. Link annotations, structure and object places are untouched.

    Raises `NotArchivable` when the document is not tagged, a font is not embedded, a character has no glyph or a
    symbol no Unicode: no claim is made that does not hold. Raises `RenderFailed` when the input is no PDF.
    """
    with _readable():
        document = Document(pdf)
        if "/StructTreeRoot" not in document.root:
            raise NotArchivable(
                "The PDF is not tagged", remedy="Convert it with Office.to_pdf, which asks for tags."
            )
        fonts = [font for font in document.of_type("/Font") if font.get("/Subtype") != "/Type3"]
        check_embedded(fonts)
        check_glyphs(fonts)
        name_symbols(fonts)
        for page in document.pages():
            mark_drawings(page)
            _set_tab_order(page)
        written = document.reader.metadata
        when = created or (written and written.creation_date) or datetime.now(UTC)
        facts = _Facts(
            title=title,
            language=language,
            author=author,
            creator=creator,
            producer=str((written and written.producer) or "LibreOffice"),
            when=when.astimezone(UTC).replace(microsecond=0),
        )
        _set_catalogue(document.root, facts)
        _date_colour_profiles(document.root, facts.when)
        _attach(document, attachments, facts.when)
        _set_metadata(document, facts, part=3 if attachments else 2)
        pdf = document.write(_information(facts))
        return FinishedPdf(pdf, text_of(document.reader, document.as_written))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise RenderFailed("The PDF cannot be read", remedy="Convert the document again.") from error


def _date(when: datetime) -> str:
    return when.strftime("D:%Y%m%d%H%M%S+00'00'")


def _information(facts: _Facts) -> DictionaryObject:
    """The document information dictionary, equal to the XMP metadata (ISO 19005-2 6.6.3)."""
    entries = {
        "/Title": facts.title,
        "/Author": facts.author,
        "/Creator": facts.creator,
        "/Producer": facts.producer,
        "/CreationDate": facts.date,
        "/ModDate": facts.date,
    }
    return DictionaryObject(
        {NameObject(name): TextStringObject(content) for name, content in entries.items() if content}
    )


def _set_catalogue(root: DictionaryObject, facts: _Facts) -> None:
    root[NameObject("/Lang")] = TextStringObject(facts.language)
    preferences = root.setdefault(NameObject("/ViewerPreferences"), DictionaryObject()).get_object()
    preferences[NameObject("/DisplayDocTitle")] = BooleanObject(True)
    root[NameObject("/MarkInfo")] = DictionaryObject({NameObject("/Marked"): BooleanObject(True)})


def _set_tab_order(page: DictionaryObject) -> None:
    """Annotations in the order of the structure (ISO 14289-1 7.18.3): LibreOffice 7.4 writes a string for the name."""
    if "/Annots" in page:
        page[NameObject("/Tabs")] = NameObject("/S")


def _date_colour_profiles(root: DictionaryObject, when: datetime) -> None:
    """LibreOffice makes the output intent's profile anew each time, with the time in it (ICC.1 7.2.8)."""
    for intent in root.get("/OutputIntents", ArrayObject()).get_object():
        profile = intent.get_object().get("/DestOutputProfile")
        stream = profile.get_object() if profile is not None else None
        if isinstance(stream, StreamObject):
            date = struct.pack(">6H", when.year, when.month, when.day, when.hour, when.minute, when.second)
            content = stream.get_data()
            stream.set_data(content[:24] + date + content[36:])


def _attach(document: Document, attachments: Sequence[Attachment], when: datetime) -> None:
    """Embedded files as associated files of the document (ISO 19005-3 6.8, ISO 32000-1 7.11.4)."""
    if not attachments:
        return
    date = TextStringObject(_date(when))
    names = ArrayObject()
    associated = ArrayObject()
    for attachment in sorted(attachments, key=lambda each: each.name):
        content = DecodedStreamObject()
        content.set_data(attachment.body)
        embedded = content.flate_encode()
        embedded.update(
            {
                NameObject("/Type"): NameObject("/EmbeddedFile"),
                NameObject("/Subtype"): NameObject("/" + attachment.media_type),
                NameObject("/Params"): DictionaryObject(
                    {
                        NameObject("/Size"): NumberObject(len(attachment.body)),
                        NameObject("/CreationDate"): date,
                        NameObject("/ModDate"): date,
                        # MD5 is what the format has here; integrity comes from the signatures.
                        NameObject("/CheckSum"): ByteStringObject(
                            hashlib.md5(attachment.body, usedforsecurity=False).digest()
                        ),
                    }
                ),
            }
        )
        stream = document.add(embedded)
        name = TextStringObject(attachment.name)
        specification = document.add(
            DictionaryObject(
                {
                    NameObject("/Type"): NameObject("/Filespec"),
                    NameObject("/F"): name,
                    NameObject("/UF"): name,
                    NameObject("/Desc"): TextStringObject(attachment.description),
                    NameObject("/AFRelationship"): NameObject("/Data"),
                    NameObject("/EF"): DictionaryObject(
                        {NameObject("/F"): stream, NameObject("/UF"): stream}
                    ),
                }
            )
        )
        names.extend((name, specification))
        associated.append(specification)
    root = document.root
    tree = root.setdefault(NameObject("/Names"), DictionaryObject()).get_object()
    tree[NameObject("/EmbeddedFiles")] = DictionaryObject({NameObject("/Names"): names})
    root[NameObject("/AF")] = associated


_XMP = """\
<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
    xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"
    xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/">
   <pdfaid:part>{part}</pdfaid:part>
   <pdfaid:conformance>A</pdfaid:conformance>
   <pdfuaid:part>1</pdfuaid:part>
   <dc:format>application/pdf</dc:format>
   <dc:title>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">{title}</rdf:li>
     <rdf:li xml:lang="{language}">{title}</rdf:li>
    </rdf:Alt>
   </dc:title>{author}
   <dc:language>
    <rdf:Bag>
     <rdf:li>{language}</rdf:li>
    </rdf:Bag>
   </dc:language>
   <pdf:Producer>{producer}</pdf:Producer>
   <xmp:CreatorTool>{creator}</xmp:CreatorTool>
   <xmp:CreateDate>{when}</xmp:CreateDate>
   <xmp:ModifyDate>{when}</xmp:ModifyDate>
   <xmp:MetadataDate>{when}</xmp:MetadataDate>
  </rdf:Description>
  <rdf:Description rdf:about=""
    xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
    xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"
    xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#">
   <pdfaExtension:schemas>
    <rdf:Bag>
     <rdf:li rdf:parseType="Resource">
      <pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
      <pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
      <pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
      <pdfaSchema:property>
       <rdf:Seq>
        <rdf:li rdf:parseType="Resource">
         <pdfaProperty:name>part</pdfaProperty:name>
         <pdfaProperty:valueType>Integer</pdfaProperty:valueType>
         <pdfaProperty:category>internal</pdfaProperty:category>
         <pdfaProperty:description>Part of ISO 14289 that the file conforms to</pdfaProperty:description>
        </rdf:li>
       </rdf:Seq>
      </pdfaSchema:property>
     </rdf:li>
    </rdf:Bag>
   </pdfaExtension:schemas>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
{padding}
<?xpacket end="w"?>"""

_AUTHOR = """
   <dc:creator>
    <rdf:Seq>
     <rdf:li>{author}</rdf:li>
    </rdf:Seq>
   </dc:creator>"""


def _set_metadata(document: Document, facts: _Facts, part: int) -> None:
    """The XMP packet (ISO 16684-1) in the place of the old one, with room to be updated as XMP asks for."""
    packet = _XMP.format(
        part=part,
        title=escape(facts.title),
        language=escape(facts.language, {'"': "&quot;"}),
        author=_AUTHOR.format(author=escape(facts.author)) if facts.author else "",
        creator=escape(facts.creator),
        producer=escape(facts.producer),
        when=facts.when.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        padding="\n".join([" " * 99] * 20),
    )
    stream = DecodedStreamObject()
    stream.set_data(packet.encode())
    stream[NameObject("/Type")] = NameObject("/Metadata")
    stream[NameObject("/Subtype")] = NameObject("/XML")
    document.replace(document.root, "/Metadata", stream)
