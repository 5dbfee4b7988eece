"""Files over HTTP (RFC 9110): types, names, ETags, ranges, HEAD, streams that are checked, and whole exports."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from service.adapters.s3 import S3Store
from service.errors import StoreError
from tests.fakes import MemoryStore
from tests.oidcprovider import Provider
from tests.s3server import S3Server
from tests.shelved import GUARDIAN, changed, mentor, protected
from tests.webservice import WebService, web_service

BODY = b"%PDF-1.7 " + bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()
ETAG = f'"{SHA256}"'
SIZE = len(BODY)


@pytest.fixture(scope="module")
def agreement_id(web: WebService) -> str:
    return web.shelf.signed(mentor(), body=BODY)


@pytest.fixture(scope="module")
def document(agreement_id: str) -> str:
    return f"/agreements/{agreement_id}/versions/1/document"


def test_a_whole_file(web: WebService, document: str, agreement_id: str) -> None:
    answer = web.get(document)
    assert (answer.status_code, answer.data) == (200, BODY)
    headers = answer.headers
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Length"] == str(SIZE)
    assert headers["Content-Disposition"] == f'attachment; filename="{agreement_id}-v1-document.pdf"'
    assert headers["ETag"] == ETAG
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["Vary"] == "Authorization"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"


@pytest.mark.parametrize(
    ("name", "media_type", "filename"),
    [
        ("rendered", "application/pdf", "v1-not-signed.pdf"),
        ("revisions/1", "application/pdf", "v1-revision-1-not-signed.pdf"),
        ("revisions/4", "application/pdf", "v1-revision-4-not-signed-by-all.pdf"),
        ("revisions/7", "application/pdf", "v1-revision-7.pdf"),
        ("data", "application/json", "v1-data.json"),
        ("receipt", "application/json", "v1-receipt.json"),
        ("receipt.p7s", "application/pkcs7-signature", "v1-receipt.json.p7s"),
        ("receipt.pdf", "application/pdf", "v1-receipt.pdf"),
        ("report", "application/json", "v1-report.json"),
    ],
)
def test_types_and_names(
    web: WebService, agreement_id: str, name: str, media_type: str, filename: str
) -> None:
    answer = web.get(f"/agreements/{agreement_id}/versions/1/{name}")
    assert answer.status_code == 200
    assert answer.mimetype == media_type
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{agreement_id}-{filename}"'


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=5-9", 5, 10),
        ("bytes=5-99999999999999999999", 5, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE + 5}", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    ],
)
def test_one_range(web: WebService, document: str, asked: str, start: int, stop: int) -> None:
    answer = web.get(document, headers={"Range": asked})
    assert answer.data == BODY[start:stop]
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["ETag"] == ETAG
    if stop - start < SIZE:
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"


@pytest.mark.parametrize(
    "asked", [f"bytes={SIZE}-", f"bytes={SIZE + 10}-{SIZE + 20}", "bytes=99999999999999-", "bytes=-0"]
)
def test_ranges_behind_the_end(web: WebService, document: str, asked: str) -> None:
    answer = web.get(document, headers={"Range": asked})
    assert (answer.status_code, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,3-4", "bytes=" + ",".join(f"{n}-{n}" for n in range(500)), "bytes", "bytes=", "bytes=x-y", "bytes=5-2",
     "bytes=--5", "bytes=1", "lines=0-1", "bytes=1-2-3", "bytes=٣-٤", "", "bytes=0x1-0x2", "bytes=+1-2", "bytes=-"],
)  # fmt: skip
def test_several_ranges_and_what_is_none_give_the_whole(web: WebService, document: str, asked: str) -> None:
    answer = web.get(document, headers={"Range": asked.encode().decode("latin-1")})
    assert (answer.status_code, answer.data) == (200, BODY)


def test_if_range(web: WebService, document: str) -> None:
    def ask(condition: str) -> TestResponse:
        return web.get(document, headers={"Range": "bytes=0-3", "If-Range": condition})

    assert (ask(ETAG).status_code, ask(ETAG).data) == (206, BODY[:4])
    for other in (f"W/{ETAG}", '"other"', SHA256, "Wed, 24 Dec 2036 09:00:00 GMT", ""):
        assert (ask(other).status_code, ask(other).data) == (200, BODY)
    # A range that is outside counts only where the condition holds.
    outside = {"Range": f"bytes={SIZE}-", "If-Range": '"other"'}
    assert web.get(document, headers=outside).status_code == 200


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"a", {ETAG}', "*"])
def test_what_the_reader_has_is_not_sent_again(web: WebService, document: str, tag: str) -> None:
    answer = web.get(document, headers={"If-None-Match": tag, "Range": "bytes=0-3"})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == ETAG
    assert "Content-Length" not in answer.headers or answer.headers["Content-Length"] == "0"


def test_what_the_reader_has_not_is_sent(web: WebService, document: str) -> None:
    for tag in ('"other"', "", '"' + SHA256[:-1] + '"'):
        assert web.get(document, headers={"If-None-Match": tag}).data == BODY


def test_if_match(web: WebService, document: str) -> None:
    for tag in (ETAG, "*", f'"a", {ETAG}'):
        assert web.get(document, headers={"If-Match": tag}).status_code == 200
    for tag in ('"a"', f"W/{ETAG}"):
        answer = web.get(document, headers={"If-Match": tag})
        assert (answer.status_code, answer.json["code"]) == (412, "precondition_failed")


def test_head_says_what_get_would(web: WebService, agreement_id: str, document: str) -> None:
    paths = [document, f"/agreements/{agreement_id}", f"/agreements/{agreement_id}/log", "/agreements",
             f"/agreements/{agreement_id}/export"]  # fmt: skip
    for path in paths:
        head, get = web.get(path, method="HEAD"), web.get(path)
        assert (head.status_code, head.data) == (200, b"")
        for name in ("Content-Type", "Content-Disposition", "ETag", "Accept-Ranges"):
            assert head.headers.get(name) == get.headers.get(name)
    assert web.get(document, method="HEAD").headers["Content-Length"] == str(SIZE)
    assert web.get(document, method="HEAD", headers={"Range": "bytes=0-3"}).status_code == 200
    assert web.get(document, method="HEAD", headers={"If-None-Match": ETAG}).status_code == 304


def test_what_is_described_in_json_has_an_etag_too(web: WebService, agreement_id: str) -> None:
    for path in ("", "/versions", "/versions/1", "/log", "/log/3"):
        answer = web.get(f"/agreements/{agreement_id}{path}")
        tag = answer.headers["ETag"]
        assert tag == f'"{hashlib.sha256(answer.data).hexdigest()}"'
        again = web.get(f"/agreements/{agreement_id}{path}", headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        # Another reader sees another thing, and does not get the first one's.
        assert web.get(f"/agreements/{agreement_id}{path}", role="operator").status_code == 200


def test_the_log_is_as_it_is_stored(web: WebService, agreement_id: str) -> None:
    entries = web.shelf.ledger.read(agreement_id)
    answer = web.get(f"/agreements/{agreement_id}/log")
    assert answer.mimetype == "application/x-ndjson"
    assert answer.data == b"".join(entry.body + b"\n" for entry in entries)
    for entry in entries:
        one = web.get(f"/agreements/{agreement_id}/log/{entry.seq}")
        assert one.data == entry.body == web.store.get(entry.key)
        assert one.headers["ETag"] == f'"{entry.sha256}"'
    assert web.get(f"/agreements/{agreement_id}/log/{len(entries)}").status_code == 404
    assert web.get(f"/agreements/{agreement_id}/log?version=2").data == b""


# --- what the store does ---


class _Watched(MemoryStore):
    """Gives documents in small pieces, counts the streams that are open, and breaks off where it is told."""

    streams = 0
    breaks_at: int | None = None

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        pieces = self._small(self.get(key)[start:][:length])
        next(pieces)
        return pieces

    def _small(self, body: bytes) -> Generator[bytes]:
        self.streams += 1
        try:
            yield b""
            for start in range(0, len(body), 100):
                if self.breaks_at is not None and start >= self.breaks_at:
                    raise StoreError("the connection broke")
                yield body[start : start + 100]
        finally:
            self.streams -= 1


@pytest.fixture
def watched(tmp_path: Path, provider: Provider) -> Iterator[tuple[WebService, _Watched, str]]:
    store = _Watched()
    with web_service(tmp_path, store=store, provider=provider) as web:
        yield web, store, f"/agreements/{web.shelf.signed(mentor(), body=BODY)}/versions/1/document"


def test_streams_are_let_go_of(watched: tuple[WebService, _Watched, str]) -> None:
    web, store, document = watched
    assert web.get(document).data == BODY
    web.get(document, headers={"Range": "bytes=0-3"}).close()
    web.get(document, method="HEAD").close()
    half_read = web.get(document)  # not buffered: the client takes it piece by piece
    assert next(half_read.iter_encoded())
    assert store.streams == 1
    half_read.close()
    never_read = web.get(document)
    never_read.close()
    assert store.streams == 0


def test_bytes_that_were_altered_in_the_store_are_never_sent_whole(
    watched: tuple[WebService, _Watched, str],
) -> None:
    web, store, document = watched
    (key,) = [k for k in store.objects if SHA256 in k]
    store.objects[key] = BODY[:-1] + b"!"
    answer = web.get(document)
    sent = b""
    with pytest.raises(StoreError, match="not what its name says"):
        for piece in answer.iter_encoded():
            sent += piece
    assert len(sent) < SIZE  # less than Content-Length: no client takes it for the file
    answer.close()


def test_a_store_that_breaks_off(watched: tuple[WebService, _Watched, str]) -> None:
    web, store, document = watched
    store.breaks_at = 500
    answer = web.get(document)
    with pytest.raises(StoreError):
        list(answer.iter_encoded())
    answer.close()
    assert store.streams == 0


def test_a_directory_gives_no_links(web: WebService, document: str) -> None:
    for form in ("json", "redirect"):
        answer = web.get(f"{document}?link={form}")
        assert (answer.status_code, answer.json["code"]) == (409, "no_links")


@pytest.mark.thorough
def test_links_into_the_store(tmp_path: Path, provider: Provider, s3_credentials: S3Server) -> None:
    import requests

    store = S3Store(s3_credentials.LOCKED, "links", endpoint=s3_credentials.endpoint)
    with web_service(tmp_path, store=store, provider=provider, HTTP_LINK_SECONDS="30") as web:
        agreement_id = web.shelf.signed(protected(mentor()), body=BODY, screened=True)
        document = f"/agreements/{agreement_id}/versions/1/document"
        assert web.get(document + "?variant=whole").data == BODY
        assert web.get(document + "?variant=whole", headers={"Range": "bytes=-5"}).data == BODY[-5:]
        told = web.get(document + "?variant=whole&link=json")
        assert told.json["sha256"] == SHA256
        assert told.json["expires_at"] > "2036-12-24T09:00:30"
        assert requests.get(told.json["url"], timeout=20).content == BODY
        answer = web.get(document + "?link=redirect")  # the careful edition, without more words
        assert answer.status_code == 302
        got = requests.get(answer.headers["Location"], timeout=20)
        assert got.content == b"%PDF screened"
        assert got.headers["Content-Disposition"] == f'attachment; filename="{agreement_id}-v1-screened.pdf"'
        outcomes = [(r["outcome"], r["detail"]["document"]) for r in web.access_log.read(agreement_id)]
        assert outcomes[2:] == [("linked", "document"), ("linked", "screened")]
        assert web.get(document + "?link=json", role="operator").status_code == 404


# --- exports ---


def exported(answer: TestResponse) -> dict[str, bytes]:
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_export_is_whole(web: WebService) -> None:
    agreement_id = web.shelf.signed(mentor(), body=BODY)
    web.shelf.amended(agreement_id, changed(mentor(), parties__guardian=GUARDIAN))
    files = {
        name.partition("/")[2]: body
        for name, body in exported(web.get(f"/agreements/{agreement_id}/export")).items()
    }
    per_version = {
        "document.pdf",
        "data.json",
        "receipt.json",
        "receipt.json.p7s",
        "receipt.pdf",
        "report.json",
    }
    entries = web.shelf.ledger.read(agreement_id)
    assert set(files) == {
        "agreement.json", "SHA256SUMS", *(f"log/{e.seq:08d}.json" for e in entries),
        *(f"v{number}/{name}" for number in (1, 2) for name in per_version),
    }  # fmt: skip
    assert files["v1/document.pdf"] == BODY
    assert files["log/00000003.json"] == entries[3].body
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {n: hashlib.sha256(b).hexdigest() for n, b in files.items() if n != "SHA256SUMS"}
    assert json.loads(files["agreement.json"])["id"] == agreement_id


def test_an_export_holds_what_the_reader_may_see(web: WebService) -> None:
    agreement_id = web.shelf.signed(protected(mentor()), body=BODY, screened=True)
    employer = {"organisations": [mentor()["parties"]["employer"]["organisation"]["number"]]}

    def documents(**reader: object) -> set[str]:
        query = reader.pop("query", "")
        answer = web.get(f"/agreements/{agreement_id}/export{query}", **reader)  # type: ignore[arg-type]
        return {name.partition("/")[2] for name in exported(answer) if "/v1/" in name}

    assert documents(role="party", **employer) == {"v1/screened.pdf"}
    assert documents(role="party", query="?variant=whole", **employer) == {"v1/screened.pdf"}
    assert documents(role="archivist") == {"v1/screened.pdf"}
    assert {"v1/document.pdf", "v1/data.json"} < documents(role="archivist", query="?variant=whole")
    assert web.get(f"/agreements/{agreement_id}/export", role="operator").status_code == 404
