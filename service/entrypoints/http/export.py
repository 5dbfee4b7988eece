"""A whole agreement as one ZIP file, made while it is sent: no more than a piece of one document is in memory.

{id}/agreement.json                what the API says of it
{id}/log/00000000.json …           the entries as they are stored
{id}/v1/document.pdf …             every document that the reader may see, half-signed ones apart
{id}/SHA256SUMS                    of all of these, for `sha256sum --check`
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, Final, cast

from flask import json

from service.domain.access import Resource, Sight
from service.entrypoints.http.representations import agreement_json
from service.pipeline.ledger import Ledger
from service.pipeline.reading import Document, Seen, View, entries_of, whole

__all__ = ["documents_in", "export"]

_LEFT_OUT: Final = frozenset({Resource.REVISION, Resource.RENDERED})
_FIRST_YEAR: Final = 1980
"""Of a ZIP file's dates."""


class _Outbox:
    """A file that is written to at one end and emptied at the other."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, piece: bytes, /) -> int:
        self._pieces.append(bytes(piece))
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces


def documents_in(view: View, *, whole_asked: bool) -> Iterator[tuple[Seen, Document]]:
    """What an export holds of each version; with `whole_asked`, what has to be asked for too."""
    least = Sight.ON_REQUEST if whole_asked else Sight.WHOLE
    for seen in view.versions.values():
        if seen.sight(Resource.EXPORT) is Sight.NONE:
            continue
        for document in seen.documents.values():
            if document.resource not in _LEFT_OUT and seen.sight(document.resource) >= least:
                yield seen, document


def export(ledger: Ledger, view: View, *, whole_asked: bool) -> Generator[bytes]:
    """The ZIP file, in pieces. Raises `StoreError` on the way, when a document cannot be had or is another."""
    outbox = _Outbox()
    root = view.agreement.id
    sums: list[str] = []
    when = _zip_time(view.agreement.head.at)
    with zipfile.ZipFile(cast(IO[bytes], outbox), "w", zipfile.ZIP_STORED, allowZip64=True) as archive:

        def add(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
            sha256 = hashlib.sha256()
            info = zipfile.ZipInfo(f"{root}/{name}", when)
            info.external_attr = 0o640 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in pieces:
                    sha256.update(piece)
                    member.write(piece)
                    yield from outbox.taken()
            sums.append(f"{sha256.hexdigest()}  {name}\n")
            yield from outbox.taken()

        yield from add("agreement.json", [json.dumps(agreement_json(view), indent=2).encode()])
        for entry in entries_of(ledger, view):
            yield from add(f"log/{entry.seq:08d}.json", [entry.body])
        for seen, document in documents_in(view, whole_asked=whole_asked):
            yield from add(f"v{seen.version.number}/{_file_name(document)}", whole(ledger, document))
        yield from add("SHA256SUMS", [line.encode() for line in sorted(sums, key=lambda line: line[66:])])
    yield from outbox.taken()


def _file_name(document: Document) -> str:
    name = document.name
    extension = PurePosixPath(document.key).suffix
    if name == "receipt.p7s":
        return "receipt.json.p7s"
    return name if name.endswith(extension) else name + extension


def _zip_time(at: str) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromisoformat(at)
    return (
        max(moment.year, _FIRST_YEAR),
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
    )
