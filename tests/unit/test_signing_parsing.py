"""The quick readers give what pyHanko's own give, and refuse what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfReadError, PdfStreamError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing import parsing
from signing.objects import references, write
from signing.outline import outline

_HANDLER = PdfFileReader.__new__(PdfFileReader)
_HANDLER.strict = True
_REFERENCE = generic.Reference(1, 0, _HANDLER)


def _shape(value: Any) -> Any:
    """The object with the types of all that is in it, and what belongs to which container."""
    container = getattr(value, "container_ref", None)
    if isinstance(value, generic.DictionaryObject):
        parts = [(key, type(key), _shape(value.raw_get(key))) for key in value]
        data = value.encoded_data if isinstance(value, generic.StreamObject) else None
        return type(value), container, parts, data
    if isinstance(value, generic.ArrayObject):
        return type(value), container, [_shape(value.raw_get(index)) for index in range(len(value))]
    return type(value), container, write(value)


def _outcome(read: Callable[[BytesIO], Any], data: bytes) -> Any:
    stream = BytesIO(data)
    try:
        value = read(stream)
    except (
        PdfReadError,
        PdfStreamError,
        ValueError,
        OSError,
        AssertionError,
        KeyError,
        TypeError,
        ArithmeticError,
    ) as error:
        return type(error)
    return _shape(value), stream.tell()


def _original(stream: BytesIO) -> Any:
    generic.read_object = parsing._read_object
    generic.read_hex_string_from_stream = parsing._read_hex_string
    try:
        return parsing._read_object(stream, _REFERENCE)
    finally:
        parsing.install()


def _ours(stream: BytesIO) -> Any:
    return parsing._object(stream, _REFERENCE)


_PIECES = st.sampled_from(
    [b"<<", b">>", b"[", b"]", b"/A", b"/B#20C", b"/", b"/a+b", b"12", b"-3", b"+4", b"1.50", b"-.5", b"4.", b"0",
     b"12 0 R", b"12  0 R", b"0 0 R", b"7 0 Rx", b"007", b"true", b"false", b"null", b"nul", b"(a)", b"(a\\)b)",
     b"(\\072\\n\\\\)", b"(\\7)", b"(\\400)", b"(\\\n)", b"(\\q)", b"/A#", b"/#zz", b"/#c3#a6", b"/#00",
     b"(a(b)c)", b"(\xe6\r\n)", b"(\xfe\xff\x00A)", b"<41>", b"<4>", b"<4 1>", b"<>", b"<xx>", b" ", b" ", b"\n",
     b"\0", b"%x\n", b"stream\n", b"endstream", b"/Length 3", b"abc", b"endobj", b"{", b")", b"\x80", b"1e5"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=14).map(b"".join))
@example(b"<</Length 3>>stream\nabc\nendstream endobj")
@example(b"<</Length 3 /Length 4>> ")
@example(b"<</A <</B 1>> % note\n/C 2>> ")
@example(b"[1 0 R 2 0 R 3 4 5] ")
@example(b"<</A 12345678901 0 R>> ")
@example(b"<</A/B/C(d)/E<41>/F[/G/H]>> ")
def test_same_as_pyhanko(data: bytes) -> None:
    assert _outcome(_ours, data + b" ") == _outcome(_original, data + b" ")


@given(
    st.recursive(
        st.sampled_from([b"/N", b"1", b"-2.25", b"3 0 R", b"(t)", b"<4142>", b"true", b"null"]),
        lambda inner: (
            st.lists(inner, max_size=5).map(lambda items: b"[ " + b" ".join(items) + b" ]")
            | st.lists(inner, max_size=5).map(
                lambda items: b"<<\n" + b"\n".join(b"/K%d %s" % each for each in enumerate(items)) + b"\n>>"
            )
        ),
        max_leaves=30,
    )
)
def test_sound_objects_are_the_same(data: bytes) -> None:
    assert _outcome(_ours, data + b"\nendobj") == _outcome(_original, data + b"\nendobj")


@pytest.mark.parametrize("levels", [50, 500])
def test_deep_objects_are_the_same(levels: int) -> None:
    data = b"[" * levels + b"]" * levels + b" "
    assert _outcome(_ours, data) == _outcome(_original, data)


def _names(value: Any) -> set[str]:
    """The names of an object, its keys among them."""
    if isinstance(value, generic.DictionaryObject):
        return {str(key) for key in value}.union(*(_names(value.raw_get(key)) for key in value))
    if isinstance(value, generic.ArrayObject):
        return set().union(*(_names(value.raw_get(index)) for index in range(len(value))))
    return {str(value)} if isinstance(value, generic.NameObject) else set()


_PARTS = st.sampled_from(
    [b"/A", b"/B", b"/C1", b"/D#20E", b"/JavaScript", b" ", b"\n", b"1 0 R", b"22 0 R", b"0 0 R", b"2", b"-1.5",
     b"12345678901 0 R", b"007", b"[ 1 0 R 2 ]", b"[", b"]", b"<4142>", b"(1 0 R)", b"true", b"null", b"<<", b">>",
     b"%c\n", b"R", b"1 0 Rx", b"4 0 R/F"]
)  # fmt: skip


@given(st.lists(_PARTS, max_size=10).map(b" ".join) | st.lists(_PARTS, max_size=10).map(b"".join))
@example(b"/A 1 0 R /B [ 2 0 R 3 4 0 R ] /C1 /B /K<41>")
@example(b"/A /B /A 1 0 R")
@example(b"/A 12 0 R/B/A")
@example(b"/A 2-1.5")
def test_an_outline_is_what_reading_finds(body: bytes) -> None:
    data = b"7 0 obj\n<<" + body + b"\n>>\nendobj\n"
    reader = PdfFileReader.__new__(PdfFileReader)
    reader.stream, reader.strict = BytesIO(data), True
    found = outline(reader, (7, 0), 0)
    stream = BytesIO(data)
    stream.seek(data.index(b"<<"))
    if found is not None:
        read = _original(stream)
        assert sorted(found.references) == sorted(references(read))
        assert found.names == {name.encode() for name in _names(read)}
        assert stream.read().strip() == b"endobj"
    stream.seek(data.index(b"<<"))
    try:
        noted = _ours(stream)
    except (PdfReadError, PdfStreamError, ValueError, ArithmeticError):
        return
    if parsing.names_in(noted) is not None:
        assert parsing.names_in(noted) == _names(noted)
        assert sorted(parsing.references_in(noted) or ()) == sorted(references(noted))


def test_most_of_a_tagged_document_is_outlined() -> None:
    data = b"7 0 obj\n<<\n/Type /StructElem\n/S /P\n/P 337 0 R\n/Pg 325 0 R\n/K [ 4 312 0 R ]\n>>\nendobj\n"
    reader = PdfFileReader.__new__(PdfFileReader)
    reader.stream = BytesIO(data)
    found = outline(reader, (7, 0), 0)
    assert found is not None
    assert found.references == [(337, 0), (325, 0), (312, 0)]
    assert outline(reader, (8, 0), 0) is None
    assert outline(reader, (7, 0), None) is None


_HEX = st.sampled_from(
    [b"<", b">", b"0", b"a", b"F", b"00", b"9F", b" ", b"\n", b"\x00", b"%x\n", b"g", b"/", b"4142" * 100]
)


@given(st.lists(_HEX, max_size=12).map(b"".join))
@example(b">")
@example(b"41" * 40_000 + b"> tail")
def test_hexadecimal_strings_are_the_same(body: bytes) -> None:
    data = b"<" + body
    assert _outcome(parsing._hex_string, data) == _outcome(parsing._read_hex_string, data)


_HEADS = st.sampled_from([b"1", b"23", b" ", b" ", b"\n", b"\r\n", b"0", b"obj", b"<<", b"%c\n", b"x", b"/A"])


@given(st.lists(_HEADS, max_size=10).map(b"".join))
@example(b"12 0 obj\n<<")
@example(b"12 0 obj% note\n<<")
def test_object_headers_are_the_same(data: bytes) -> None:
    def read(header: Callable[[BytesIO, bool], tuple[int, int]]) -> object:
        stream = BytesIO(data)
        try:
            return header(stream, True), stream.tell()
        except (ValueError, PdfStreamError) as error:
            return type(error)

    assert read(parsing._object_header) == read(parsing._read_object_header)
