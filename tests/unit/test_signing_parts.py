"""Bytes in parts are read as their join is, by files and by the readers of PDF objects."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import DEFAULT_DECODE_CONTEXT
from pyhanko.pdf_utils.misc import PdfReadError, PdfStreamError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing import Parts, parsing
from signing.objects import write
from signing.parts import PartsFile, digest
from signing.pdf import Increment

_PARTS = st.lists(st.binary(max_size=12), max_size=5)
_CALLS = st.lists(
    st.tuples(st.just("read"), st.integers(-1, 40))
    | st.tuples(
        st.just("seek"), st.integers(-50, 50), st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
    )
    | st.tuples(st.just("into"), st.integers(0, 40)),
    max_size=12,
)


def _answer(file: Any, call: tuple[Any, ...]) -> object:
    name, *arguments = call
    if name == "read":
        return file.read(*arguments), file.tell()
    if name == "into":
        buffer = bytearray(arguments[0])
        return file.readinto(buffer), buffer, file.tell()
    offset, whence = arguments
    start = {os.SEEK_SET: 0, os.SEEK_CUR: file.tell(), os.SEEK_END: file.seek(0, os.SEEK_END)}[whence]
    return file.seek(max(start + offset, 0))


@given(_PARTS, _CALLS)
def test_a_file_of_parts_is_read_as_one_of_their_join(
    parts: list[bytes], calls: list[tuple[Any, ...]]
) -> None:
    ours, whole = PartsFile(parts), BytesIO(b"".join(parts))
    for call in calls:
        assert _answer(ours, call) == _answer(whole, call)


@given(_PARTS, st.binary(min_size=1, max_size=20), _CALLS)
def test_an_increment_is_read_behind_what_was_there(
    parts: list[bytes], added: bytes, calls: list[tuple[Any, ...]]
) -> None:
    ours, whole = Increment(Parts(*parts)), BytesIO(b"".join(parts) + added)
    ours.write(added)
    assert ours.added == added
    for call in [("seek", 0, os.SEEK_SET), *calls]:
        whole.seek(ours.tell())
        assert _answer(ours, call) == _answer(whole, call)


def test_what_was_there_is_not_written_again() -> None:
    file = Increment(b"there")
    file.seek(1)
    with pytest.raises(ValueError, match="not written again"):
        file.write(b"x")


def test_a_large_length_takes_no_memory() -> None:
    """As a damaged document has it; io's own files would make room for all that is asked for."""
    assert PartsFile([b"some", b" bytes"]).read(1 << 50) == b"some bytes"


def test_a_closed_file_is_not_an_empty_one() -> None:
    file = PartsFile([b"some"])
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_parts_are_shared_and_joined_when_asked() -> None:
    document = b"document"
    revision = Parts(document) + b"" + b" and more"
    assert revision.parts[0] is document
    assert (len(revision), bytes(revision)) == (17, b"document and more")
    assert bytes(Parts(document)) is document
    assert digest(revision).digest() == digest(bytes(revision)).digest()


_HANDLER = PdfFileReader.__new__(PdfFileReader)
_HANDLER.strict = True
_HANDLER._decode_context = DEFAULT_DECODE_CONTEXT
_PIECES = st.sampled_from(
    [b"<<", b">>", b"[", b"]", b"/A", b"12", b"12 ", b"0 R", b"0", b"1.5", b"true", b"(a)", b"(a", b"<41", b">",
     b"%%EOF\n", b"%%EOF", b"\r\n", b" ", b"stream\n", b"endstream", b"/Length 3", b"abc", b"endobj", b"7 0 obj "]
)  # fmt: skip


def _outcome(read: Callable[[Any], Any], file: Any) -> object:
    try:
        value = read(file)
    except (
        PdfReadError,
        PdfStreamError,
        ValueError,
        ArithmeticError,
        AssertionError,
        KeyError,
        TypeError,
    ) as error:
        return type(error)
    return value if isinstance(value, tuple) else write(value), file.tell()


@pytest.mark.parametrize("header", [False, True])
@given(st.lists(st.lists(_PIECES, max_size=8).map(b"".join), min_size=2, max_size=3))
@example([b"12 ", b"0 R "])
@example([b"7 0 obj ", b"<<>>"])
def test_objects_over_the_end_of_a_part_are_the_same(header: bool, parts: list[bytes]) -> None:
    def read(file: Any) -> Any:
        if header:
            return parsing._object_header(file, True)
        return parsing._object(file, generic.Reference(1, 0, _HANDLER))

    for ended in (parts, [*(part + b"%%EOF\n" for part in parts[:-1]), parts[-1]]):
        # The line ends: in a comment that does not, pyHanko reads on for ever.
        whole = b"".join(ended) + b" \n"
        assert _outcome(read, PartsFile([*ended, b" \n"])) == _outcome(read, BytesIO(whole))


@pytest.mark.parametrize("file", [BytesIO, lambda whole: PartsFile([whole[:-5], whole[-5:]])])
@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_a_large_stream_is_read_when_it_is_asked_for(file: Callable[[bytes], Any], line: bytes) -> None:
    payload = os.urandom(1024 * 1024)
    entries = b"<</Length %d /A [1 0 R]>>" % len(payload)
    whole = entries + line.join([b"\nstream", payload, b"endstream", b"endobj", b"%%EOF", b"tail"])
    stream = file(whole)
    found = parsing._object(stream, generic.Reference(1, 0, _HANDLER))
    assert stream.tell() == whole.index(b"endstream", len(payload)) + len(b"endstream")
    place = stream.tell()
    assert (found.encoded_data, found.data, stream.tell()) == (payload, payload, place)
    expected = generic.StreamObject(
        {"/Length": generic.NumberObject(len(payload)), "/A": found.raw_get("/A")}, encoded_data=payload
    )
    assert write(found) == write(expected)
    stream.close()
    assert found.data == payload  # decoded before, it is kept


def test_a_large_stream_that_ends_elsewhere_is_refused() -> None:
    data = b"<</Length %d>>\nstream\n%b\nendobj " % (1024 * 1024, bytes(1024 * 1024))
    with pytest.raises(PdfReadError, match="endstream"):
        parsing._object(BytesIO(data), generic.Reference(1, 0, _HANDLER))
