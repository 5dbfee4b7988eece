"""Cross-references are read as pyHanko reads them, and written as it writes them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.misc import PdfReadError

from signing import tables

_LINES = [
    b"0000000000 65535 f \n",
    b"0000000017 00000 n \n",
    b"0000012345 00001 n\r\n",
    b"0000000000 00002 f\r\n",
]
_ODD = [b"0000000017 00000 n\n", b" 000000017 00000 n \n", b"+000000017 00000 n \n", b"000000017 000000 n \n"]
_ODD += [b"0000000017 00000 x \n", b"0000000017  0000 n \n", b"17 0 n \n", b"trailer\n", b"0 1\n", b"\n", b""]


def _read(read: Any, data: bytes, strict: bool) -> Any:
    stream = BytesIO(data)
    try:
        entries = [
            (entry.xref_type, entry.location, entry.idnum, entry.generation) for entry in read(stream, strict)
        ]
    except (PdfReadError, ValueError, OSError, IndexError) as error:
        return type(error)
    return entries, stream.tell()


@given(
    st.sampled_from([b"\n", b" \r\n", b""]),
    st.integers(0, 3),
    st.lists(st.one_of(st.sampled_from(_LINES), st.sampled_from(_LINES + _ODD)), max_size=6),
    st.integers(-1, 1),
    st.sampled_from(
        [b"trailer\n<<", b"trailer<<", b"\ntrailer <<", b"2 1\n" + _LINES[1] + b"trailer\n<<", b"trail"]
    ),
    st.booleans(),
)
@example(b"\n", 0, _LINES, 0, b"trailer\n<<", True)
def test_a_table_has_the_entries_that_pyhanko_finds(
    before: bytes, first: int, lines: list[bytes], more: int, after: bytes, strict: bool
) -> None:
    data = before + b"%d %d\n" % (first, max(len(lines) + more, 0)) + b"".join(lines) + after + b"/Size 9>>"
    assert _read(tables._table_entries, data, strict) == _read(tables._parse_xref_table, data, strict)


_PLACES = st.one_of(
    st.integers(0, 2**64 - 1), st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1))
)


@given(st.dictionaries(st.tuples(st.integers(0, 2), st.integers(1, 12)), _PLACES, min_size=1))
def test_a_stream_has_the_rows_that_pyhanko_writes(places: dict[tuple[int, int], Any]) -> None:
    places = {
        (0 if isinstance(place, tuple) else generation, number): place
        for (generation, number), place in places.items()
    }
    written = []
    for write in (tables._write_stream, tables._write_xref_stream):
        out, stream = BytesIO(), xref.XRefStream(places)
        stream[generic.pdf_name("/Size")] = generic.NumberObject(13)
        write(stream, out)
        written.append(out.getvalue())
    assert written[0] == written[1]
