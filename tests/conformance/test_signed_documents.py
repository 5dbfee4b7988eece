"""What independent judges say of every kind of document that is made, at each revision, in both languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from service.pipeline.services import Services
from tests.conformance.corpus import LANGUAGES, Corpus, make_corpus
from tests.conformance.dss import Said, dss
from tests.conformance.openssl import Stamped, parts_of, timestamps_in, verify_cms, verify_timestamp
from tests.conformance.poppler import valid_fields
from tests.conformance.results import Results, committed_rows, versions, write
from tests.conformance.verapdf import FailedRule, report, verapdf
from tests.outside_signer import Outside, prepare_outside
from tests.signing_documents import Signers

pytestmark = [pytest.mark.office, pytest.mark.pki, pytest.mark.conformance]

_PROFILES = ("2a", "3a", "ua1")
_GOOD = {"TOTAL_PASSED", "PASSED"}


@dataclass(frozen=True)
class Verdicts:
    """Of the Java judges, which run once each and side by side."""

    broken: Mapping[str, Future[list[FailedRule]]]
    said: Future[Mapping[str, list[Said]]]


@pytest.fixture(scope="module")
def results() -> Results:
    return Results()


@pytest.fixture(scope="module")
def corpus(services: Services, signers: Signers, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(services, signers, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def altered(corpus: Corpus) -> Path:
    """The last document, with one byte of its title's name altered."""
    path, document = corpus.folder / "altered.pdf", corpus.signed()[-2].revisions[-1].read_bytes()
    place = document.index(b"/Title")
    path.write_bytes(document[:place] + b"/Titel" + document[place + 6 :])
    return path


@pytest.fixture(scope="module")
def by_openssl(
    sealed: bytes, signers: Signers, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A document whose employer signed outside by a CMS that OpenSSL made: before and after augmentation."""
    folder = tmp_path_factory.mktemp("openssl")
    outside = Outside(signers, sealed, prepare_outside(sealed), folder)
    before, after = folder / "openssl-before.pdf", folder / "openssl.pdf"
    before.write_bytes(outside.embed(outside.openssl("-cades")))
    after.write_bytes(signers.augment(before.read_bytes()))
    return before, after


@pytest.fixture(scope="module")
def verdicts(
    corpus: Corpus, altered: Path, by_openssl: tuple[Path, Path], signers: Signers
) -> Iterator[Verdicts]:
    given = {profile: _given(corpus, profile) for profile in _PROFILES}
    signed = [document.revisions[-1] for document in corpus.signed()]
    detached = [(each.signature, each.content) for each in corpus.detached]
    files = [*signed, *detached, corpus.signed()[-2].revisions[-2], altered, *by_openssl]
    roots = list(dict.fromkeys([*(d.root for d in corpus.documents), signers.pki.root]))

    def all_said() -> Mapping[str, list[Said]]:
        said = dss(files, trust=roots)
        return {name: list(found) for name, found in groupby(said, lambda s: s.path.name)}

    with ThreadPoolExecutor(2) as pool:
        said = pool.submit(all_said)
        yield Verdicts({p: pool.submit(verapdf, paths, p) for p, paths in given.items()}, said)


def _given(corpus: Corpus, profile: str) -> Sequence[Path]:
    return [
        path
        for document in corpus.documents
        if profile in (document.profile, "ua1")
        for path in document.revisions
    ]


def test_every_kind_is_there_in_both_languages(corpus: Corpus) -> None:
    languages = {kind: {d.language for d in corpus.documents if d.kind == kind} for kind in corpus.kinds()}
    one = {"courtesy translation": {"en"}, "five parties, four methods": {"nb"}, "receipt.json.p7s": set()}
    assert languages == {
        kind: one.get(kind, set(LANGUAGES))
        for kind in (
            "agreement", "receipt", "receipt of declaration", "declaration", "courtesy translation",
            "screened edition", "amended version", "termination", "attested paper", *one,
        )
    }  # fmt: skip


@pytest.mark.parametrize("profile", _PROFILES)
def test_verapdf_breaks_no_rule_at_any_revision(
    corpus: Corpus, verdicts: Verdicts, results: Results, profile: str
) -> None:
    broken = verdicts.broken[profile].result()
    failed = {failure.path.name for failure in broken}
    for document in corpus.documents:
        if profile in (document.profile, "ua1"):
            judge = "veraPDF PDF/UA-1" if profile == "ua1" else "veraPDF PDF/A"
            good = sum(path.name not in failed for path in document.revisions)
            results.add(document.kind, judge, given=len(document.revisions), good=good)
    assert not broken, report(broken)


def test_eu_dss_passes_every_signature_for_the_long_term(
    corpus: Corpus, verdicts: Verdicts, results: Results
) -> None:
    bad = []
    for document in corpus.signed():
        said = verdicts.said.result()[document.revisions[-1].name]
        signatures = [s for s in said if s.kind == "signature"]
        good = [s for s in signatures if s.indication == "TOTAL_PASSED" and s.format == "PAdES-BASELINE-LTA"]
        results.add(document.kind, "EU DSS", given=len(document.fields), good=len(good))
        stamps = Counter(s.which for s in said if s.kind == "timestamp")
        count = len(document.fields)
        if (
            [s.which for s in good] != [*document.fields]
            or {s.indication for s in said} != _GOOD
            # The one document timestamp is told of each signature that it protects.
            or stamps != {"SIGNATURE_TIMESTAMP": count, "DOCUMENT_TIMESTAMP": count}
        ):
            bad += said
    assert not bad, _lines(bad)


def test_eu_dss_passes_every_detached_seal(corpus: Corpus, verdicts: Verdicts, results: Results) -> None:
    bad = []
    for each in corpus.detached:
        said = verdicts.said.result()[each.signature.name]
        good = [s.format for s in said if s.kind == "signature"] == ["CAdES-BASELINE-LT"]
        good = good and {s.indication for s in said} == _GOOD
        results.add(each.kind, "EU DSS", given=1, good=int(good))
        bad += [] if good else said
    assert not bad, _lines(bad)


def test_pdfsig_finds_every_signature_valid_at_each_revision(corpus: Corpus, results: Results) -> None:
    bad = []
    for document in corpus.signed():
        for number, path in enumerate(document.revisions):
            expected = [*document.fields[:number]]
            found = valid_fields(path)
            good = sum(name in found for name in expected)
            results.add(document.kind, "pdfsig", given=len(expected), good=good)
            if found != expected:
                bad.append((path.name, found))
    assert bad == []


def test_openssl_verifies_every_signature_and_every_timestamp(
    corpus: Corpus, results: Results, tmp_path: Path
) -> None:
    bad = []

    def judge(kind: str, root: Path, signatures: Sequence[Stamped], stamps: Sequence[Stamped]) -> None:
        for name, verify, parts in (
            ("openssl cms", verify_cms, signatures),
            ("openssl ts", verify_timestamp, stamps),
        ):
            faults = [fault for part in parts if (fault := verify(part, root, tmp_path))]
            results.add(kind, name, given=len(parts), good=len(parts) - len(faults))
            bad.extend(faults)

    for document in corpus.signed():
        signatures, stamps = parts_of(document.revisions[-1])
        assert [part.which for part in signatures] == [*document.fields]
        assert len(stamps) == len(signatures) + 1
        judge(document.kind, document.root, signatures, stamps)
    for each in corpus.detached:
        encoded = each.signature.read_bytes()
        part = Stamped("seal", encoded, each.content.read_bytes())
        judge(each.kind, each.root, [part], timestamps_in(encoded, "seal"))
    assert bad == []


def test_openssl_refuses_what_is_altered(corpus: Corpus, tmp_path: Path) -> None:
    document = corpus.signed()[0]
    signatures, stamps = parts_of(document.revisions[-1])
    for part, verify in ((signatures[0], verify_cms), (stamps[0], verify_timestamp)):
        other = Stamped(part.which, part.encoded, part.content[:-1] + b"?")
        assert verify(other, document.root, tmp_path)
        assert not verify(part, document.root, tmp_path)


def test_eu_dss_does_not_pass_what_is_altered_or_not_augmented_yet(
    corpus: Corpus, altered: Path, verdicts: Verdicts
) -> None:
    said = verdicts.said.result()
    signatures = {s.indication for s in said[altered.name] if s.kind == "signature"}
    assert signatures == {"TOTAL_FAILED"}, _lines(said[altered.name])
    document = corpus.signed()[-2]
    before = said[document.revisions[-2].name]
    assert {s.indication for s in before} == {"INDETERMINATE"}, _lines(before)
    assert _levels(before) == dict.fromkeys(document.fields, "PAdES-BASELINE-T")


def test_a_cms_by_openssl_passes_though_it_is_not_of_the_baseline(
    by_openssl: tuple[Path, Path], verdicts: Verdicts
) -> None:
    """OpenSSL writes the signed attribute signing-time, which the baseline of PAdES leaves out (EN 319 142-1 6.3)."""
    before, after = (verdicts.said.result()[path.name] for path in by_openssl)
    assert _levels(before) == {"seal": "PAdES-BASELINE-T", "employer": "PAdES-BES"}, _lines(before)
    assert {s.indication for s in after} == _GOOD, _lines(after)
    assert _levels(after) == {"seal": "PAdES-BASELINE-LTA", "employer": "PAdES-LTV"}, _lines(after)


def test_the_page_has_these_results(corpus: Corpus, results: Results) -> None:
    """The table is written first: where this fails, look at what changed and commit it."""
    rows = []
    for kind in corpus.kinds():
        documents = [d for d in corpus.documents if d.kind == kind]
        detached = [d for d in corpus.detached if d.kind == kind]
        languages = sorted({d.language for d in (*documents, *detached)})
        rows.append(
            results.row(
                kind,
                ", ".join(languages),
                len(documents) + len(detached),
                sum(len(d.revisions) for d in documents) or "–",
                sum(len(d.fields) for d in documents) + len(detached) or "–",
            )
        )
    committed = committed_rows()
    write(rows, versions())
    assert committed == rows


def _levels(said: Sequence[Said]) -> dict[str, str]:
    return {s.which: s.format for s in said if s.kind == "signature"}


def _lines(said: Sequence[Said]) -> str:
    return "\n".join(map(str, said))
