"""Who gets what over HTTP: each role with a real token, against agreements as workers leave them; and who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.domain.ports import ObjectStore
from service.errors import StoreError
from service.pipeline.access_log import REFUSED, SEARCHES
from service.pipeline.fsck import StoreCheck
from tests.fakes import MemoryStore
from tests.oidcprovider import Provider
from tests.shelved import GUARDIAN, changed, mentor, protected
from tests.webservice import WebService, web_service

DATA = changed(mentor(), parties__guardian=GUARDIAN)
PARTIES = DATA["parties"]
READERS: dict[str, dict[str, Any]] = {
    "archivist": {"role": "archivist"},
    "operator": {"role": "operator"},
    "case_system": {"role": "case_system", "systems": ["tiltak"]},
    "other case_system": {"role": "case_system", "systems": ["arena"]},
    "participant": {"role": "party", "pid": PARTIES["participant"]["national_id"]},
    "mentor": {"role": "party", "pid": PARTIES["mentor"]["national_id"]},
    "guardian": {"role": "party", "pid": GUARDIAN["national_id"]},
    "employer": {"role": "party", "organisations": ["0192:" + PARTIES["employer"]["organisation"]["number"]]},
    "adviser": {"role": "party", "NAVident": PARTIES["adviser"]["ident"]},
    "stranger": {"role": "party", "pid": "17849431021"},
    "other employer": {"role": "party", "organisations": ["312300028"]},
    "other adviser": {"role": "party", "NAVident": "Z990123"},
}
STRANGERS = ("other case_system", "stranger", "other employer", "other adviser")
NAMES = ("document", "rendered", "revisions/1", "revisions/3", "screened", "data", "receipt", "receipt.p7s",
         "receipt.pdf", "report")  # fmt: skip
SIGNED = b"%PDF rendered sealed participant employer mentor adviser guardian timestamp"
SCREENED = b"%PDF screened"


@pytest.fixture
def web(tmp_path: Path, provider: Provider) -> Iterator[WebService]:
    with web_service(tmp_path, provider=provider) as web:
        yield web


def ask(web: WebService, reader: str, path: str, **more: Any) -> TestResponse:
    return web.get(path, **READERS[reader], **more)


def version(agreement_id: str, name: str = "", number: int = 1) -> str:
    return f"/agreements/{agreement_id}/versions/{number}" + (f"/{name}" if name else "")


def given(
    web: WebService, reader: str, agreement_id: str, number: int = 1, query: str = ""
) -> dict[str, bytes]:
    """What of a version's documents this reader gets, by name."""
    answers = {name: ask(web, reader, version(agreement_id, name, number) + query) for name in NAMES}
    assert {a.status_code for a in answers.values()} <= {200, 404}
    return {name: answer.data for name, answer in answers.items() if answer.status_code == 200}


WHOLE = {"document", "rendered", "receipt", "receipt.p7s", "receipt.pdf", "report"}


def test_of_an_open_agreement(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    office = WHOLE | {"revisions/1", "revisions/3", "data"}
    expected = {
        "archivist": office, "case_system": office, "operator": set(), "participant": WHOLE, "guardian": WHOLE,
        "mentor": WHOLE, "employer": WHOLE, "adviser": WHOLE | {"data"}, **{reader: set() for reader in STRANGERS},
    }  # fmt: skip
    assert {reader: set(given(web, reader, agreement_id)) for reader in READERS} == expected
    for reader in expected.keys() - {"operator", *STRANGERS}:
        assert given(web, reader, agreement_id)["document"] == SIGNED


@pytest.mark.parametrize("kind", ["confidential", "strictly_confidential", None])
def test_of_a_protected_participant(web: WebService, kind: str | None) -> None:
    """Unknown protection is protection."""
    data = changed(DATA, parties__participant__address_protection=kind)
    agreement_id = web.shelf.signed(data, screened=True)
    screened = {"document": SCREENED, "rendered": SCREENED, "screened": SCREENED}
    for reader in ("employer", "mentor", "archivist"):
        assert given(web, reader, agreement_id) == screened
    for reader in ("participant", "guardian", "adviser", "case_system"):
        assert given(web, reader, agreement_id)["document"] == SIGNED
    assert given(web, "operator", agreement_id) == {}
    # The archivist gets the whole by asking for it, and nobody else does.
    whole = given(web, "archivist", agreement_id, query="?variant=whole")
    assert whole["document"] == SIGNED
    assert set(whole) == {*NAMES}
    for reader in ("employer", "mentor"):
        assert given(web, reader, agreement_id, query="?variant=whole") == {"screened": SCREENED}
    # Who may see the whole may ask for the careful one.
    assert given(web, "adviser", agreement_id, query="?variant=screened") == screened


def test_the_list_of_documents_is_what_can_be_had(web: WebService) -> None:
    for data in (DATA, protected(DATA)):
        agreement_id = web.shelf.signed(data, screened=data is not DATA)
        for reader in READERS:
            answer = ask(web, reader, version(agreement_id))
            if reader in STRANGERS:
                assert answer.status_code == 404
                continue
            for document in answer.json["documents"]:
                found = ask(web, reader, document["href"].removeprefix("/api/v1"))
                assert found.status_code == 200, (reader, document)
                assert found.headers["ETag"] == f'"{document["sha256"]}"'
                assert found.mimetype == document["media_type"]


def test_without_a_screened_edition_there_is_nothing_in_its_place(web: WebService) -> None:
    agreement_id = web.shelf.signed(protected(DATA))
    assert given(web, "employer", agreement_id) == {}
    answer = ask(web, "employer", version(agreement_id, "document"))
    assert answer.json["code"] == "no_screened_edition"
    answer = ask(web, "archivist", version(agreement_id, "document"))
    assert "variant=whole" in answer.json["remedy"]


def test_protection_that_comes_later_covers_what_was_before(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    assert "document" in given(web, "employer", agreement_id)
    web.shelf.amended(agreement_id, protected(DATA), screened=True)
    assert given(web, "employer", agreement_id, 1) == {}
    assert given(web, "employer", agreement_id, 2)["document"] == SCREENED
    assert given(web, "participant", agreement_id, 1)["document"] == SIGNED


def test_nothing_says_who_the_parties_are(web: WebService) -> None:
    """What everyone gets, and what operators get, holds no names and numbers."""
    agreement_id = web.shelf.signed(protected(DATA), screened=True)
    personal = {
        v
        for p in PARTIES.values()
        for k, v in p.items()
        if k.endswith(("name", "_id", "phone", "email", "ident"))
    }
    assert len(personal) > 15
    for path in ("", "/versions", "/versions/1", "/log", "/log/0"):
        text = ask(web, "operator", f"/agreements/{agreement_id}{path}").text
        assert text
        assert not [each for each in personal if each in text]
    listed = ask(web, "operator", "/agreements").text
    assert agreement_id in listed
    assert not [each for each in personal if each in listed]


# --- time ---


def test_employer_and_mentor_lose_access_twelve_weeks_after_the_end(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    last = datetime.fromisoformat(DATA["period"]["end"]).replace(hour=12, tzinfo=UTC) + timedelta(weeks=12)
    web.clock.advance(last - web.clock.now())
    for reader in ("employer", "mentor"):
        assert "document" in given(web, reader, agreement_id)
        assert agreement_id in ask(web, reader, "/agreements").text
    web.clock.advance(timedelta(days=1))
    for reader in ("employer", "mentor"):
        assert given(web, reader, agreement_id) == {}
        assert ask(web, reader, f"/agreements/{agreement_id}").status_code == 404
        assert agreement_id not in ask(web, reader, "/agreements").text
    for reader in ("participant", "guardian", "adviser", "archivist", "case_system"):
        assert "document" in given(web, reader, agreement_id)


def test_a_termination_ends_it_earlier(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    ended = changed(DATA, termination={"reason": "other", "date": "2037-01-31"})
    web.shelf.amended(agreement_id, ended)
    web.clock.advance(datetime(2037, 4, 26, 12, tzinfo=UTC) - web.clock.now())
    assert given(web, "employer", agreement_id) == {}
    assert given(web, "participant", agreement_id)


def test_a_mentor_who_was_replaced(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    other = PARTIES["mentor"] | {"national_id": "21860164520", "first_name": "Ola", "last_name": "Lie"}
    web.shelf.amended(agreement_id, changed(DATA, parties__mentor=other))
    assert given(web, "mentor", agreement_id, 1)
    assert given(web, "mentor", agreement_id, 2) == {}
    told = ask(web, "mentor", f"/agreements/{agreement_id}").json
    assert [v["number"] for v in told["versions"]] == [1]
    assert told["in_force"] is None  # the version that holds is none of its own
    log = ask(web, "mentor", f"/agreements/{agreement_id}/log").text
    assert {json.loads(line)["version"] for line in log.splitlines()} == {1}
    web.clock.advance(timedelta(weeks=12, days=1))
    assert given(web, "mentor", agreement_id, 1) == {}
    assert given(web, "employer", agreement_id, 1)


def test_a_mentor_declares_before_it_reads(web: WebService) -> None:
    agreement_id = web.shelf.open(DATA, declares=("mentor",))
    web.shelf.rendered(agreement_id)
    assert given(web, "mentor", agreement_id) == {}
    assert ask(web, "mentor", f"/agreements/{agreement_id}").json["versions"][0]["documents"] == []
    for path in ("/log", "/export"):
        assert ask(web, "mentor", f"/agreements/{agreement_id}{path}").status_code == 404
    assert set(given(web, "employer", agreement_id)) == {"rendered"}
    web.shelf.append(
        agreement_id,
        "declared",
        role="mentor",
        declaration_sha256="d" * 64,
        declaration_receipt_sha256="e" * 64,
    )
    assert set(given(web, "mentor", agreement_id)) == {"rendered"}


def test_a_declaration_is_seen_by_who_declares(web: WebService) -> None:
    data = {
        **{k: DATA[k] for k in ("case", "language", "period", "template")},
        "parties": {
            "mentor": PARTIES["mentor"],
            "employer": {"organisation": PARTIES["employer"]["organisation"]},
        },
    }
    about = {"agreement_id": "b3f1b5c0-7d0a-4a4e-9d55-3f1d8f0f9a10", "version": 1, "role": "mentor"}
    declaration = web.shelf.open(data, declares_for=about)
    web.shelf.rendered(declaration)
    web.shelf.all_sign(declaration)
    assert "document" in given(web, "mentor", declaration)  # nothing in it is the participant's
    assert given(web, "employer", declaration) == {}  # it is named, and is no party
    assert given(web, "participant", declaration) == {}
    assert ask(web, "archivist", f"/agreements/{declaration}").json["declares_for"] == about


def test_erased_data_recognise_nobody(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    web.store.delete(
        f"agreements/{agreement_id}/blobs/{web.shelf.agreement(agreement_id).current.input_sha256}.json"
    )
    assert ask(web, "participant", f"/agreements/{agreement_id}").status_code == 404
    assert ask(web, "archivist", version(agreement_id, "data") + "?variant=whole").json["code"] == "erased"
    # Whether the participant was protected cannot be told any more, so it was.
    assert ask(web, "archivist", version(agreement_id, "document")).json["code"] == "no_screened_edition"


def test_half_signed_documents_are_not_handed_out_as_signed(web: WebService) -> None:
    agreement_id = web.shelf.open(DATA)
    answer = ask(web, "participant", version(agreement_id, "document"))
    assert (answer.status_code, answer.json["code"]) == (404, "no_such_document")
    web.shelf.rendered(agreement_id)
    assert set(given(web, "participant", agreement_id)) == {"rendered"}
    for name in ("rendered", "revisions/1", "revisions/2"):
        answer = ask(web, "archivist", version(agreement_id, name))
        assert "not-signed" in answer.headers["Content-Disposition"]
        assert answer.headers["Signert-Note"].startswith("not-signed")


# --- no enumeration ---


def test_what_is_not_there_and_what_is_not_yours_look_the_same(web: WebService) -> None:
    theirs = web.shelf.signed(DATA)
    nobodys = "6f0c2d6e-52a4-4a40-8a3c-0f6a3b1b2c3d"
    for reader in STRANGERS:
        for path in ("", "/versions", "/versions/1", "/versions/1/document", "/versions/9/document", "/log", "/log/0",
                     "/export", "/versions/1/document?variant=whole"):  # fmt: skip
            found = ask(web, reader, f"/agreements/{theirs}{path}")
            missing = ask(web, reader, f"/agreements/{nobodys}{path}")
            assert (found.status_code, found.data) == (missing.status_code, missing.data)
            differ = {k for k, v in found.headers if missing.headers.get(k) != v}
            assert differ == {"Signert-Trace"}
            assert found.status_code == 404
    places = {json.dumps([r["what"], r["outcome"], r["version"]]) for r in web.access_log.read(REFUSED)}
    assert json.dumps(["agreement", "refused", None]) in places
    assert not list(web.access_log.read(theirs))


@pytest.mark.parametrize(
    "given_id", ["1", "{}", "..", "%2e%2e", "a b", "æ", "%00", "urn:uuid:{}", "{{{}}}", "x" * 300]
)
def test_ids_that_are_none(web: WebService, given_id: str) -> None:
    agreement_id = web.shelf.signed(DATA)
    wanted = given_id if given_id != "{}" else agreement_id.replace("-", "")
    answer = ask(
        web, "archivist", f"/agreements/{wanted.format(agreement_id) if 'urn' in wanted else wanted}"
    )
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_an_id_in_capitals_is_the_same_id(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    assert ask(web, "archivist", f"/agreements/{agreement_id.upper()}").json["id"] == agreement_id


# --- lists ---


def listed(web: WebService, reader: str, query: str = "") -> list[str]:
    answer = ask(web, reader, f"/agreements{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


def test_lists_hold_what_the_reader_may_see(web: WebService) -> None:
    own = web.shelf.signed(DATA)
    web.clock.advance(timedelta(minutes=1))
    other = web.shelf.signed(changed(protected(DATA), case={"system": "arena", "reference": "X-1"},
                                     parties__participant__national_id="17849431021",
                                     parties__employer__organisation__number="312300028"))  # fmt: skip
    assert listed(web, "archivist") == listed(web, "operator") == [other, own]
    assert listed(web, "case_system") == [own]
    assert listed(web, "other case_system") == [other]
    assert listed(web, "participant") == [own]
    assert listed(web, "stranger") == [other]
    assert listed(web, "mentor") == [other, own]
    assert listed(web, "employer") == [own]
    assert listed(web, "other employer") == [other]
    assert listed(web, "adviser", f"?case_reference={DATA['case']['reference']}") == [own]
    assert listed(web, "other adviser", f"?case_reference={DATA['case']['reference']}") == []


def test_filters_never_widen_what_is_seen(web: WebService) -> None:
    web.shelf.signed(DATA)
    organisation = PARTIES["employer"]["organisation"]["number"]
    for reader in STRANGERS:
        for query in ("?case_system=tiltak", f"?organisation={organisation}", "?status=signed",
                      f"?case_system=tiltak&case_reference={DATA['case']['reference']}"):  # fmt: skip
            answer = ask(web, reader, f"/agreements{query}")
            assert answer.json.get("items", []) == []


def test_filters_and_pages(web: WebService) -> None:
    ids = []
    for number in range(5):
        ids.append(web.shelf.signed(changed(DATA, case={"system": "tiltak", "reference": f"S-{number}"})))
        web.clock.advance(timedelta(days=1))
    pending = web.shelf.open(DATA)
    newest_first = [pending, *reversed(ids)]
    assert listed(web, "archivist") == newest_first
    assert listed(web, "archivist", "?status=signed") == newest_first[1:]
    assert listed(web, "archivist", "?case_system=tiltak&case_reference=S-2") == [ids[2]]
    assert listed(web, "archivist", "?template=none") == []
    assert listed(web, "archivist", "?opened_from=2036-12-25&opened_to=2036-12-26") == [ids[2], ids[1]]
    found: list[str] = []
    query = "?limit=2"
    while query:
        answer = ask(web, "archivist", f"/agreements{query}").json
        assert len(answer["items"]) <= 2
        found += [item["id"] for item in answer["items"]]
        query = f"?limit=2&cursor={answer['cursor']}" if answer["cursor"] else ""
    assert found == newest_first


@pytest.mark.parametrize(
    ("query", "path"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("limit=1e1", "limit"),
     ("status=done", "status"), ("organisation=123456789", "organisation"), ("opened_from=2036-02-30", "opened_from"),
     ("case_system=../x", "case_system"), ("case_reference=", "case_reference"), ("unknown=1", "unknown"),
     ("cursor=%00", "cursor"), ("cursor=abc", "cursor"), ("cursor=" + "A" * 600, "cursor"),
     ("template=%C3%A6", "template"), ("limit=٣", "limit")],
)  # fmt: skip
def test_queries_with_faults(web: WebService, query: str, path: str) -> None:
    answer = ask(web, "archivist", f"/agreements?{query}")
    assert answer.status_code == 400, answer.text
    assert [error["path"] for error in answer.json["errors"]] == [path]


def test_cursors_that_were_altered_or_are_of_another_query(web: WebService) -> None:
    for _ in range(3):
        web.shelf.signed(DATA)
        web.clock.advance(timedelta(seconds=1))
    cursor = ask(web, "archivist", "/agreements?limit=1").json["cursor"]
    for place in range(0, len(cursor), 5):
        altered = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        answer = ask(web, "archivist", f"/agreements?limit=1&cursor={altered}")
        # Wherever it leads, it leads nowhere that the reader could not go.
        assert answer.status_code in {200, 400}
    assert ask(web, "archivist", f"/agreements?status=signed&limit=1&cursor={cursor}").status_code == 400
    assert ask(web, "archivist", f"/agreements?limit=1&cursor={cursor[:-3]}").status_code == 400


# --- the access log ---


def records(web: WebService, place: str) -> list[dict[str, Any]]:
    return list(web.access_log.read(place))


def test_every_read_is_recorded(web: WebService) -> None:
    agreement_id = web.shelf.signed(protected(DATA), screened=True)
    trace = "0af7651916cd43dd8448eb211c80319c"
    traced = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert (
        ask(web, "participant", version(agreement_id, "document"), headers=traced).headers["Signert-Trace"]
        == trace
    )
    etag = ask(web, "archivist", version(agreement_id, "receipt.pdf") + "?variant=whole").headers["ETag"]
    ask(
        web,
        "archivist",
        version(agreement_id, "receipt.pdf") + "?variant=whole",
        headers={"If-None-Match": etag},
    )
    ask(web, "employer", version(agreement_id, "document"), headers={"Range": "bytes=0-3"})
    ask(web, "operator", f"/agreements/{agreement_id}/log")
    ask(web, "adviser", f"/agreements/{agreement_id}")
    ask(web, "archivist", f"/agreements/{agreement_id}/export?variant=whole")
    found = records(web, agreement_id)
    assert [(r["what"], r["outcome"], r["reader"]["role"], r["reader"]["standings"]) for r in found] == [
        ("document", "read", "party", ["participant"]),
        ("receipt", "read", "archivist", ["archivist"]),
        ("receipt", "unchanged", "archivist", ["archivist"]),
        ("document", "read", "party", ["employer"]),
        ("log", "read", "operator", ["operator"]),
        ("agreement", "read", "party", ["adviser"]),
        ("export", "read", "archivist", ["archivist"]),
    ]
    assert found[0]["trace"] == trace
    assert found[0]["at"] == "2036-12-24T09:00:00.001Z"
    assert [r["detail"].get("whole_on_request") for r in found] == [
        False,
        True,
        True,
        False,
        None,
        None,
        True,
    ]
    assert found[3]["detail"]["document"] == "screened"
    assert (found[3]["detail"]["start"], found[3]["detail"]["length"]) == (0, 4)
    whole = json.dumps(found) + " ".join(web.store.list("access/"))
    for reader in READERS.values():
        for value in (reader.get("pid"), reader.get("NAVident")):
            assert value is None or value not in whole


def test_lists_are_recorded_without_what_was_asked_for(web: WebService) -> None:
    web.shelf.signed(DATA)
    listed(web, "archivist", f"?case_system=tiltak&case_reference={DATA['case']['reference']}")
    (record,) = records(web, SEARCHES)
    assert record["detail"] == {"filters": "case_reference case_system", "found": 1}


def test_a_person_has_one_pseudonym_and_others_have_others(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    ask(web, "participant", f"/agreements/{agreement_id}")
    ask(web, "participant", f"/agreements/{agreement_id}", sub="another-session")
    ask(web, "archivist", f"/agreements/{agreement_id}", sub="anna")
    ask(web, "archivist", f"/agreements/{agreement_id}", sub="per")
    pseudonyms = [r["reader"]["pseudonym"] for r in records(web, agreement_id)]
    assert pseudonyms[0] == pseudonyms[1]
    assert len(set(pseudonyms)) == 3


def test_fsck_knows_the_access_log(web: WebService) -> None:
    agreement_id = web.shelf.signed(DATA)
    for reader in ("archivist", "stranger"):
        ask(web, reader, f"/agreements/{agreement_id}")
        ask(web, reader, "/agreements")
    web.store.create("access/elsewhere.json", b"{}")
    unknown = [f.where for f in StoreCheck(web.store, trust=None).run([]) if f.code == "key_unknown"]
    assert unknown == ["access/elsewhere.json"]


class _NoRecords(MemoryStore):
    """A store that takes no records."""

    ill = False

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        if self.ill and key.startswith("access/"):
            raise StoreError("the disk is full")
        super().create(key, body, retain_until=retain_until)


def test_what_cannot_be_recorded_is_not_read(tmp_path: Path, provider: Provider) -> None:
    store = _NoRecords()
    checked: ObjectStore = store
    with web_service(tmp_path, store=checked, provider=provider) as web:
        agreement_id = web.shelf.signed(DATA)
        store.ill = True
        paths = ["", "/log", "/log/0", "/export", "/versions", "/versions/1", "/versions/1/document",
                 "/versions/1/data", "/versions/9/data"]  # fmt: skip
        for path in paths:
            answer = ask(web, "archivist", f"/agreements/{agreement_id}{path}")
            assert (answer.status_code, answer.json["code"]) == (503, "access_not_recorded")
            assert "Retry-After" in answer.headers
        assert ask(web, "archivist", "/agreements").status_code == 503
        assert ask(web, "stranger", f"/agreements/{agreement_id}").status_code == 503
        store.ill = False
        assert ask(web, "archivist", f"/agreements/{agreement_id}").status_code == 200
