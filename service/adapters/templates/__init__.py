"""The catalogue of templates in a folder: `NAME/VERSION/` with a Word file a language, manifest and sample.

    catalogue = Catalogue(Path("templates"))
    template = catalogue.get("tilretteleggingsavtale", "1.0.0", "nb")

`catalogue.lock` holds the SHA-256 of every file of every published version (a list that `sha256sum -c` reads);
a published version never changes, and one that has changed is not used. What authors do with templates is in
`workshop` and `checks`, which a worker does not load.
"""

from __future__ import annotations

from service.adapters.templates.catalogue import LOCK, Catalogue
from service.adapters.templates.manifest import parse_manifest

__all__ = ["LOCK", "Catalogue", "parse_manifest"]
