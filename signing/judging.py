"""Judging a document's signatures and timestamps (ETSI EN 319 102-1) from the evidence in it alone; nothing is fetched.

Document timestamps are judged from the newest back: each that holds proves that what it covers existed at its time.
With those proofs every signature is judged, as of its own timestamp where the present is too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast

from asn1crypto import cms
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.ades import (
    ades_basic_validation,
    ades_timestamp_validation,
)
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    SignatureValidationSpec,
    bootstrap_validation_data_handlers,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.ltv.poe import POEManager, POEType
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from signing.aio import at_once, run
from signing.certificates import certificate_of, crl_of, ocsp_of
from signing.changes import Changes
from signing.cms import timestamp_tokens, token_time
from signing.errors import NotTrusted
from signing.past import later_revocation, past_validation
from signing.policy import specification
from signing.trust import TrustStore
from signing.verdicts import PAST_MAY_HELP
from signing.verified import among, no_paths

__all__ = ["Judge", "Judgement"]

_NOT_PERMITTED: Final = "Dokumentet er endret på en måte som signaturene ikke tillater."
_TIME_SHOWN: Final = frozenset({AdESPassed.OK, AdESIndeterminate.TRY_LATER})


@dataclass(frozen=True)
class Judgement:
    """The outcome for one signature, document timestamp or signature timestamp."""

    outcome: AdESSubIndic
    time: datetime | None = None
    """A timestamp's own time, a signature's by its earliest timestamp."""
    note: str = ""
    """Why, in words for people, where the outcome's own say less."""
    proven: datetime | None = None
    """When it is proven to have existed, by timestamps that hold."""
    by_timestamp: bool = False
    """Whether its own timestamp is what proves it."""
    tokens: tuple[tuple[cms.SignedData, Judgement], ...] = ()
    """A signature's timestamps, and what was found of each."""

    @property
    def shown_time(self) -> datetime | None:
        """The time of a timestamp that holds but for evidence about revocation, as before augmentation: such a time
        is shown, not relied on.
        """
        return self.time if self.outcome in _TIME_SHOWN else None


class Judge:
    """The signatures and timestamps of one document, at the time `at`.

    `faults` (by field) and `changes` are what was found of the document's structure and of its later revisions.
    `signers` are the anchors for the signers of those fields, in place of `trust`. The document timestamps are judged
    at once, in `stamps` by their revision.
    """

    def __init__(
        self,
        reader: PdfFileReader,
        signatures: Sequence[EmbeddedPdfSignature],
        trust: TrustStore,
        *,
        signers: Mapping[str, TrustStore],
        at: datetime,
        faults: Mapping[str, str],
        changes: Changes,
    ) -> None:
        self._reader = reader
        self._signatures = signatures
        self._trust = trust
        self._signers = signers
        self._at = at
        self._faults = faults
        self._changes = changes
        self._timing = ValidationTimingInfo(
            validation_time=at, best_signature_time=at, point_in_time_validation=True
        )
        self._proofs = POEManager(current_dt_override=at)
        self._stores: dict[int, LocalKnowledge] = {}
        self._held: dict[int, Any] = {}
        """Paths that held, by the evidence they held by."""
        self.knowledge = _read_store(reader)
        """The evidence of the newest revision."""
        self.stamps: dict[int, Judgement] = {}
        for stamp in reversed(signatures):
            if stamp.sig_object_type != "/DocTimeStamp":
                continue
            self.stamps[stamp.signed_revision] = judgement = self._judge_stamp(stamp)
            if judgement.outcome is AdESPassed.OK:
                self._prove(stamp)

    @property
    def holding(self) -> list[int]:
        """Revisions of the document timestamps that hold, the newest first."""
        return [number for number, found in self.stamps.items() if found.outcome is AdESPassed.OK]

    def trust_of(self, field: str) -> TrustStore:
        """The anchors that a signer of that field has to lead up to."""
        return self._signers.get(field, self._trust)

    def signature(self, signature: EmbeddedPdfSignature) -> Judgement:
        """A signature with its timestamps (EN 319 102-1 5.5, 5.6.3)."""
        value = signature.signer_info["signature"].native
        proofs = copy(self._proofs)
        time: datetime | None = None
        tokens: list[tuple[cms.SignedData, Judgement]] = []
        for token in timestamp_tokens(signature.signer_info):
            judged = self._judge_token(
                token,
                generic_cms.message_imprint_checker(signature.signer_info),
                signature.signed_revision,
            )
            tokens.append((token, judged))
            if (shown := judged.shown_time) is not None:
                time = min(time or shown, shown)
            if judged.outcome is AdESPassed.OK:
                proofs.register(value, POEType.VALIDATION, judged.time)
        trust = self.trust_of(signature.field_name)
        knowledge = self._evidence_for(signature.signed_data, signature.signed_revision)
        policy = specification(trust, knowledge)
        result = at_once(
            ades_basic_validation(
                signature.signed_data,
                policy,
                timing_info=self._timing,
                raw_digest=signature.compute_digest(),
                validation_data_handlers=self._handlers(policy, knowledge),
            )
        )
        outcome = self._judge_past(signature.signed_data, result.ades_subindic, proofs, trust, knowledge)
        if outcome is AdESPassed.OK and time is not None and time < signature.signer_cert.not_valid_before:
            outcome = AdESIndeterminate.NOT_YET_VALID
        proven = self._proven(signature.signed_data, proofs)
        by_timestamp = proven is not None and proven != self._proven(signature.signed_data, self._proofs)
        judgement = Judgement(outcome, time, "", proven, by_timestamp, tuple(tokens))
        return self._with_structure(signature, judgement)

    def _judge_stamp(self, stamp: EmbeddedPdfSignature) -> Judgement:
        digest = stamp.compute_digest()
        judgement = self._judge_token(stamp.signed_data, lambda _: digest, stamp.signed_revision)
        return self._with_structure(stamp, judgement)

    def _judge_token(self, token: cms.SignedData, imprint: Any, revision: int) -> Judgement:
        """A timestamp token, at the present and then by the proofs there are (EN 319 102-1 5.4, 5.6.2.4)."""
        trust, knowledge = self._trust.timestamps, self._evidence_for(token, revision)
        policy = specification(trust, knowledge)
        result = at_once(
            ades_timestamp_validation(
                token,
                policy,
                imprint,
                timing_info=self._timing,
                validation_data_handlers=self._handlers(policy, knowledge),
            )
        )
        outcome = self._judge_past(token, result.ades_subindic, self._proofs, trust, knowledge)
        if outcome is AdESPassed.OK and not self._accepted(
            trust.algorithms.imprint_ends(token), token, self._proofs
        ):
            outcome = AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
        return Judgement(outcome, token_time(token), proven=self._proven(token, self._proofs))

    def _proven(self, signed: cms.SignedData, proofs: POEManager) -> datetime | None:
        time = _existed(signed, proofs)
        return time if time < self._at else None

    def _leads_up(self, signed: cms.SignedData, trust: TrustStore, at: datetime) -> bool:
        """Whether the signer's certificate leads up to an anchor at that time, revocation apart."""
        certificates = generic_cms.extract_certs_for_validation(signed)
        others = [*certificates.other_certs, *self.knowledge.known_certs]
        try:
            trust.path(certificates.signer_cert, others, at=at)
        except NotTrusted:
            return False
        return True

    def _judge_past(
        self,
        signed: cms.SignedData,
        outcome: AdESSubIndic,
        proofs: POEManager,
        trust: TrustStore,
        knowledge: LocalKnowledge,
    ) -> AdESSubIndic:
        """As `_by_proofs`, and by an anchor that was granted when the signature is proven to have existed."""
        found = self._by_proofs(signed, outcome, proofs, trust, knowledge)
        if found is not AdESPassed.OK or not trust.periods:
            return found
        granted = self._leads_up(signed, trust, self._proven(signed, proofs) or self._at)
        return found if granted else AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND

    def _by_proofs(
        self,
        signed: cms.SignedData,
        outcome: AdESSubIndic,
        proofs: POEManager,
        trust: TrustStore,
        knowledge: LocalKnowledge,
    ) -> AdESSubIndic:
        """The outcome at the present, or a better one by the proofs of existence (EN 319 102-1 5.6.2.4)."""
        if outcome is AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE:
            outcome = self._refine(signed, outcome, proofs, trust)
        if outcome not in PAST_MAY_HELP:
            return outcome
        past = run(
            past_validation(signed, specification(trust, knowledge), copy(proofs), outcome, at=self._at)
        )
        # Where the past does not help either, the present outcome says more.
        if past is not AdESPassed.OK:
            return outcome
        # Of its own algorithms it says nothing: they must have been sound when it is proven to have existed (5.6.2.4).
        certificate = generic_cms.extract_certs_for_validation(signed).signer_cert
        ends = trust.algorithms.signer_ends(signed["signer_infos"][0], certificate)
        accepted = self._accepted(ends, signed, proofs)
        return past if accepted else AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE

    def _accepted(self, ends: datetime | None, signed: cms.SignedData, proofs: POEManager) -> bool:
        """Whether an algorithm that ends then was accepted when the signature is proven to have existed."""
        return ends is None or _existed(signed, proofs) < ends

    def _refine(
        self, signed: cms.SignedData, outcome: AdESSubIndic, proofs: POEManager, trust: TrustStore
    ) -> AdESSubIndic:
        """pyHanko has one outcome for all other faults of a chain. Where the chain itself holds at the time of the
        signature, what is amiss is the evidence about revocation, or a CA certificate that ended since.
        """
        if not self._leads_up(signed, trust, _existed(signed, proofs)):
            # By a trusted list, an anchor may be one at another time.
            return AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND if trust.periods else outcome
        if not self._leads_up(signed, trust, self._at):
            return AdESIndeterminate.OUT_OF_BOUNDS_NO_POE
        return AdESIndeterminate.TRY_LATER

    def _with_structure(self, signature: EmbeddedPdfSignature, judgement: Judgement) -> Judgement:
        """A signature must cover its whole revision, and later changes must be ones it allows."""
        if judgement.outcome.status == AdESFailure.HASH_FAILURE.status:
            return judgement
        if fault := self._faults.get(signature.field_name):
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=fault)
        coverage: SignatureCoverageLevel = cast(Any, signature).coverage
        if coverage < SignatureCoverageLevel.ENTIRE_REVISION:
            note = "Signaturen dekker ikke hele dokumentet."
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=note)
        if not self._changes.permitted_after(signature.signed_revision):
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=_NOT_PERMITTED)
        if self._changes.unsettled and judgement.outcome is AdESPassed.OK:
            outcome = AdESIndeterminate.SIG_CONSTRAINTS_FAILURE
            return replace(judgement, outcome=outcome, note=self._changes.unsettled)
        return judgement

    def _store(self, revision: int) -> LocalKnowledge:
        """The document security store as that revision has it."""
        if revision == self._reader.xrefs.total_revisions - 1:
            return self.knowledge
        if revision not in self._stores:
            self._stores[revision] = _read_store(self._reader.get_historical_resolver(revision))
        return self._stores[revision]

    def _evidence_for(self, signed: cms.SignedData, revision: int) -> LocalKnowledge:
        """What is needed to judge what that revision has in it: the evidence that the next document timestamp covers.

        Of the evidence that came with later renewals only this counts: that a certificate was revoked. Then all of it
        is looked at. To go by all of it always would take exponentially longer with each renewal.
        """
        covering = min((number for number in self.holding if number > revision), default=None)
        if covering is None:
            return self.knowledge
        store = self._store(covering)
        return self.knowledge if later_revocation(signed, store, self.knowledge) else store

    def _handlers(self, policy: SignatureValidationSpec, knowledge: LocalKnowledge) -> Any:
        handlers = bootstrap_validation_data_handlers(
            policy, timing_info=self._timing, poe_manager_override=copy(self._proofs)
        )
        return among(self._held.setdefault(id(knowledge), no_paths()), handlers)

    def _prove(self, stamp: EmbeddedPdfSignature) -> None:
        """Everything the timestamp covers existed at its time (EN 319 102-1 5.6.2.3)."""
        time = token_time(stamp.signed_data)

        def proven(item: Any) -> None:
            self._proofs.register(item, POEType.VALIDATION, time)

        store = self._store(stamp.signed_revision)
        for item in (*store.known_certs, *store.known_crls, *store.known_ocsps):
            proven(item)
        for signature in self._signatures:
            if signature.signed_revision >= stamp.signed_revision:
                continue
            tokens = timestamp_tokens(signature.signer_info)
            for signed in (signature.signed_data, *tokens):
                for certificate in signed["certificates"]:
                    proven(certificate.chosen)
                proven(signed["signer_infos"][0]["signature"].native)


def _existed(signed: cms.SignedData, proofs: POEManager) -> datetime:
    """When the signature value is proven to have existed; the time of validation, where nothing proves it earlier."""
    time: datetime = copy(proofs)[signed["signer_infos"][0]["signature"].native]  # asking registers it
    return time


def _read_store(handler: Any) -> LocalKnowledge:
    """Certificates, OCSP responses and CRLs of the document security store."""
    try:
        store = DocumentSecurityStore.read_dss(handler)
    except NoDSSFoundError:
        return LocalKnowledge()
    return LocalKnowledge(
        known_ocsps=[
            part for item in store.ocsps for part in OCSPContainer.load_multi(ocsp_of(item.get_object().data))
        ],
        known_crls=[CRLContainer(crl_of(item.get_object().data)) for item in store.crls],
        known_certs=[certificate_of(item.get_object().data) for item in store.certs.values()],
    )
