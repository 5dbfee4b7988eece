"""PDF, from what LibreOffice writes to what is signed and archived.

finished = finish(pdf, title="Avtale om tilrettelegging", language="nb-NO", created=now)
gone = missing_values(finished.text, {"agreement.position.title": "Baker"})
"""

from service.adapters.pdf.finishing import finish
from service.adapters.pdf.rasterizing import can_rasterize, rasterize
from service.adapters.pdf.showing import page_pictures, show_places
from service.adapters.pdf.structure import structure
from service.adapters.pdf.text import text
from service.adapters.pdf.values import missing_values

__all__ = [
    "can_rasterize",
    "finish",
    "missing_values",
    "page_pictures",
    "rasterize",
    "show_places",
    "structure",
    "text",
]
