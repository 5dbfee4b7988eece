"""Each way of signing has its own list of issuers; two PKIs, each trusted for something else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import KeyPlace, PartyStatus, Status
from service.pipeline.archive import validate_version
from service.pipeline.drive import Rest
from service.pipeline.fsck import StoreCheck
from service.pipeline.sweep import sweep
from signing import Credential, TimestampClient, TrustStore, open_credential, validate
from tests.cscserver import RemoteCredential, config_file, serve_csc
from tests.parties import OTHERS, Case, chain_of, new_case
from tests.signing_documents import Signers
from tests.softhsm import softhsm

pytestmark = [pytest.mark.office, pytest.mark.pki]

MakeCase = Callable[..., Case]


@pytest.fixture
def make_case(running: Any, signers: Signers, tmp_path: Path) -> MakeCase:
    def make(credentials: Mapping[str, Credential], **keys: Any) -> Case:
        return new_case(running.services, signers, tmp_path, credentials, **keys)

    return make


@pytest.fixture
def lists(signers: Signers) -> Callable[..., TrustStore]:
    """All trust the test PKI, but for those named, which trust the other one."""
    own, foreign = (TrustStore.from_pem(path) for path in (signers.pki.root, signers.pki.foreign_root))

    def made(*others: str) -> TrustStore:
        names = ("seal", *KeyPlace, "timestamps")
        return TrustStore.from_lists({name: foreign if name in others else own for name in names})

    return made


def test_a_signature_from_outside_is_held_to_the_list_for_outside(
    make_case: MakeCase, signers: Signers, lists: Callable[..., TrustStore]
) -> None:
    """`impostor` has the participant's number and another PKI, which is trusted for signatures from outside only."""
    trust = lists("outside")
    case = make_case({role: signers.credential(role) for role in ("adviser", "employer")}, trust=trust)
    case.submit({"participant": OTHERS["participant"]}, parties={"participant": {"method": "outside"}})
    case.send("sign", role="participant", certificates=case.outside.certificates("person"))
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.signature-refused", "not_trusted")
    case.sign_with_cms("participant", "person")
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.signature-refused", "not_trusted")
    assert case.status("participant") is PartyStatus.WAITING
    case.sign_with_cms("participant", "impostor")
    version = case.agreement.current
    assert version.status is Status.SIGNED
    assert {p.role: p.key_place for p in version.parties} == {
        "participant": KeyPlace.OUTSIDE,
        "employer": KeyPlace.PKCS12,
        "adviser": KeyPlace.PKCS12,
    }

    document = case.services.ledger.get_blob(case.id, version.document.sha256, "pdf")
    assert validate_version(version, document, trust).passed
    assert validate(document, trust).passed  # as a stranger's document, by any list
    for other, failing in ((lists(), {"participant"}), (lists("outside", "pkcs12"), {"employer", "adviser"})):
        report = validate_version(version, document, other)
        found = {s.field: (s.indication, s.sub_indication) for s in report.signatures}
        assert {f for f, said in found.items() if said[0] != "TOTAL-PASSED"} == failing
        assert {found[f] for f in failing} == {("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")}
        assert not report.passed
    check = {
        name: [f for f in StoreCheck(case.services.store, trust=t, settle=0).run() if f.severity == "error"]
        for name, t in (("right", trust), ("swapped", lists()))
    }
    assert check["right"] == []
    assert [f.code for f in check["swapped"]] == ["document_not_verified"]
    assert "SIGNERT_TRUST_" in check["swapped"][0].remedy


@contextlib.contextmanager
def _key(place: KeyPlace, signers: Signers, folder: Path) -> Iterator[Credential]:
    """A key of the test PKI at this place."""
    match place:
        case KeyPlace.PKCS12:
            yield signers.credential("adviser")
        case KeyPlace.PKCS11:
            with softhsm(folder) as hsm:
                key = signers.pki.directory / "adviser.pem"
                hsm.import_key("adviser", key, signers.pki.certificate_pem("adviser"))
                chain = str(chain_of(signers, "adviser", folder))
                yield open_credential(hsm.uri("adviser", certificate=chain))
        case KeyPlace.CSC:
            with serve_csc(signers.pki) as csc:
                csc.credentials["adviser"] = RemoteCredential("adviser")
                yield open_credential(f"csc:{config_file(folder, csc.url + '/csc/v2', 'adviser')}")


@pytest.mark.parametrize("place", [KeyPlace.PKCS12, KeyPlace.PKCS11, KeyPlace.CSC])
def test_a_key_of_the_service_waits_until_its_issuer_is_on_the_list_of_its_place(
    place: KeyPlace,
    make_case: MakeCase,
    signers: Signers,
    lists: Callable[..., TrustStore],
    tmp_path: Path,
) -> None:
    with _key(place, signers, tmp_path) as credential:
        case = make_case({"adviser": credential}, trust=lists(place))
        case.submit({r: OTHERS[r] for r in ("participant", "employer", "adviser")})
        case.sign_with_cms("participant", "person")
        case.send("sign", role="employer", certificates=case.outside.certificates("organisation"))
        asked = case.asked("employer")
        value = case.outside.value("organisation", asked)
        # With it the first group is done, and the adviser's key is next.
        parked = case.parked(
            "complete-signature", role="employer", prepared=asked["prepared"], signature=value
        )
        assert (parked.code, parked.step) == ("not_trusted", "prepare:adviser")
        assert f"SIGNERT_TRUST_{place.upper()}" in parked.remedy
        assert case.status("employer") is PartyStatus.SIGNED
        keys = replace(case.services.keys, trust=lists())
        case.services = replace(case.services, open_keys=lambda: keys)
        (found,) = sweep(case.services, everything=True)
        assert found.outcome
        assert found.outcome.rest is Rest.AT_REST
    version = case.agreement.current
    assert version.status is Status.SIGNED
    assert version.party("adviser").key_place is place


def test_who_approves_at_a_remote_service_is_held_to_the_list_for_remote_services(
    make_case: MakeCase, signers: Signers, lists: Callable[..., TrustStore], tmp_path: Path
) -> None:
    """A person acts, as outside; but the key is at the CSC service, and its list counts."""
    with serve_csc(signers.pki) as csc:
        csc.credentials["employer"] = RemoteCredential("organisation", mode="oauth2code")
        remote = config_file(tmp_path, f"{csc.url}/csc/v2", "employer", authorization='"oauth2code"')
        held = {role: signers.credential("adviser") for role in ("participant", "adviser")}
        case = make_case({**held, "employer": open_credential(f"csc:{remote}")}, trust=lists("csc"))
        case.submit({"employer": OTHERS["employer"]})
        case.send("sign", role="employer")
        kind, told = case.last_event()
        assert (kind, told["code"]) == ("agreement.signature-refused", "not_trusted")
        keys = replace(case.services.keys, trust=lists("outside"))
        case.services = replace(case.services, open_keys=lambda: keys)
        version = case.sign_by_redirect("employer").current
    assert version.status is Status.SIGNED
    assert version.party("employer").key_place is KeyPlace.CSC
    document = case.services.ledger.get_blob(case.id, version.document.sha256, "pdf")
    assert validate_version(version, document, lists("outside")).passed
    assert not validate_version(version, document, lists("csc")).passed


def test_the_seal_needs_an_issuer_on_the_common_list(
    make_case: MakeCase, signers: Signers, lists: Callable[..., TrustStore]
) -> None:
    case = make_case({}, trust=lists("seal"))
    parked = case.parked("submit", **case.submitted({}))
    assert (parked.code, parked.step) == ("not_trusted", "prepare:seal")
    assert "SIGNERT_TRUST," in parked.remedy


def test_time_stamping_authorities_have_a_list_of_their_own(
    make_case: MakeCase, signers: Signers, lists: Callable[..., TrustStore]
) -> None:
    held = {role: signers.credential(role) for role in ("participant", "employer", "adviser")}
    trust = lists("timestamps")
    with contextlib.closing(TimestampClient([signers.pki.tsa_url], trust=trust)) as timestamps:
        case = make_case(held, trust=trust, timestamps=timestamps)
        parked = case.parked("submit", **case.submitted({}))
        assert parked.code == "timestamp_unavailable"
        assert "the authority is not trusted" in parked.message
    with contextlib.closing(TimestampClient([signers.pki.foreign_tsa_url], trust=trust)) as timestamps:
        case = make_case(held, trust=trust, timestamps=timestamps)
        version = case.submit({}).current
    assert version.status is Status.SIGNED
    assert version.receipt_sha256
    receipt = case.services.ledger.get_json(case.id, version.receipt_sha256)
    assert [t["authority"] for t in receipt["document_timestamps"]] == ["Foreign TSA"]
    document = case.services.ledger.get_blob(case.id, version.document.sha256, "pdf")
    assert validate_version(version, document, trust).passed
    assert not validate_version(version, document, lists()).passed
