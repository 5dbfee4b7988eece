"""Cross-references are read as pyHanko reads them, and written as it writes them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing import xrefs
from signing.xrefs import listed, newest, places_of

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
    assert _read(xrefs._table_entries, data, strict) == _read(_by_pyhanko, data, strict)


def _by_pyhanko(stream: BytesIO, strict: bool) -> Any:
    """Which never ends where the file does, in a line that begins with the end of one."""
    return xrefs._parse_xref_table(xrefs._Lines(stream), strict)


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
    for write in (xrefs._write_stream, xrefs._write_xref_stream):
        out, stream = BytesIO(), xref.XRefStream(places)
        stream[generic.pdf_name("/Size")] = generic.NumberObject(13)
        write(stream, out)
        written.append(out.getvalue())
    assert written[0] == written[1]


@given(
    widths=st.lists(st.integers(0, 9), min_size=3, max_size=3) | st.just([1, 2, 1]) | st.just([1, 8, 2]),
    pairs=st.lists(st.integers(0, 3), max_size=4),
    data=st.binary(max_size=40)
    | st.lists(st.sampled_from([b"\1\0\7\0", b"\2\0\4\1", b"\0\0\0\1"])).map(b"".join),
)
@example([1, 2, 1], [0, 2], b"\1\0\7\0\2\0\4\1")
@example([1, 8, 2], [3, 1], b"\1" + b"\xff" * 8 + b"\0\0")
@example([1, 2, 1], [2, 1, 0, 1], b"\1\0\7\0\2\0\4\1")
def test_cross_references_are_the_same(widths: list[int], pairs: list[int], data: bytes) -> None:
    numbers = [generic.ArrayObject(map(generic.NumberObject, each)) for each in (widths, pairs)]
    table = generic.StreamObject(dict(zip(["/W", "/Index"], numbers, strict=True)), stream_data=data)

    def read(entries: Callable[[Any, bool], Any], process: Callable[[Any, Any, bool], Any]) -> object:
        section = xref.XRefSectionData()
        try:
            process(section, entries(table, True), True)
        except (PdfReadError, AssertionError, ValueError, TypeError) as error:
            return type(error)
        return vars(section)

    expected = read(xrefs._parse_xref_stream, xrefs._process_entries)
    for _ in range(2):  # read, and kept
        assert read(xrefs._xref_entries, xrefs._processed) == expected


_ENTRIES = st.lists(
    st.builds(
        xref.XRefEntry,
        st.just(xref.XRefType.STANDARD),
        st.integers(0, 99),
        st.integers(1, 4),
        st.integers(0, 2),
    )
    | st.builds(xref.XRefEntry, st.just(xref.XRefType.FREE), st.none(), st.integers(1, 4), st.integers(0, 2))
    | st.builds(
        xref.XRefEntry,
        st.just(xref.XRefType.IN_OBJ_STREAM),
        st.builds(xref.ObjStreamRef, st.integers(1, 9), st.integers(0, 9)),
        st.integers(1, 4),
    ),
    max_size=6,
)


@given(st.lists(st.tuples(_ENTRIES, st.none() | _ENTRIES), min_size=1, max_size=4))
def test_what_a_revision_lists_is_where_pyhanko_finds_it(revisions: list[tuple[Any, Any]]) -> None:
    sections = []
    for entries, hybrid in revisions:
        data = xref.XRefSectionData()
        data.process_entries(iter(entries), True)
        if hybrid is not None:
            data.process_hybrid_entries(iter(hybrid), _meta(), True)
        sections.append(xref.XRefSection(_meta(), data))
    reader = PdfFileReader.__new__(PdfFileReader)
    reader.xrefs = xref.XRefCache(reader, sections)
    for number in range(len(sections)):
        references = reader.xrefs.explicit_refs_in_revision(number)
        assert listed(reader, number) == {(each.idnum, each.generation) for each in references}
        assert places_of(reader, number) == {
            (each.idnum, each.generation): _place_by_pyhanko(sections[: number + 1], each)
            for each in references
        }
    assert newest(reader) == {
        key: _place_by_pyhanko(sections, generic.Reference(*key))
        for number in range(len(sections))
        for key in listed(reader, number)
    }


def _meta() -> xref.XRefSectionMetaInfo:
    return xref.XRefSectionMetaInfo(xref.XRefSectionType.STREAM, 10, 0, 0, 0, None)


def _place_by_pyhanko(sections: list[xref.XRefSection], reference: generic.Reference) -> Any:
    for section in reversed(sections):
        try:
            return section.xref_data.try_resolve(reference)
        except KeyError:
            continue
    return None
