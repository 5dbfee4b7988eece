"""An agreement's log written without keys and documents: whatever step or move comes, as a worker would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from service.domain.agreement import SEAL, Agreement, Method, Party, Version
from service.domain.folding import fold
from service.domain.log import Draft, Entry, following, timestamp
from service.domain.steps import Step, StepKind, end_of, next_step
from tests.fakes import ManualClock

__all__ = ["Story"]

_OF_A_ROLE = {
    StepKind.EXPIRE: "expired",
    StepKind.DECLARE: "declaration-requested",
    StepKind.WITHDRAW: "declaration-withdrawn",
}


class Story:
    """`parties` maps roles to order groups; `methods` says how each signs, automatic when it does not."""

    def __init__(
        self,
        parties: Mapping[str, int],
        methods: Mapping[str, Method] | None = None,
        *,
        expires_after_days: int = 84,
        deadline_days: int | None = None,
        absent: frozenset[str] = frozenset(),
        declares: tuple[str, ...] = (),
    ) -> None:
        self.clock = ManualClock()
        self.methods = {role: (methods or {}).get(role, Method.AUTOMATIC) for role in parties}
        data = {
            "command_id": "c-1",
            "payload_sha256": "00",
            "input_sha256": "01",
            "case": {"system": "tiltak", "reference": "2026-1"},
            "template": {"name": "avtale", "version": "1.0.0"},
            "language": "nb",
            "signing": {"expires_after_days": expires_after_days, "deadline_days": deadline_days},
            "parties": [
                {
                    "role": r,
                    "order": o,
                    "method": None,
                    "deadline_days": None,
                    "level": None,
                    "signs": r not in absent,
                }
                for r, o in parties.items()
            ],
            "declarations": [
                {"role": r, "agreement_id": f"d-{r}", "template": {"name": "erklaering", "version": "1.0.0"}}
                for r in declares
            ],
        }
        self.entries = [Entry("a-1", 0, None, "e-0", self.now, "submitted", 1, data)]

    @classmethod
    def of(cls, entries: Sequence[Entry], clock: ManualClock) -> Story:
        """A story that goes on from a log, in which every party signs as soon as it may."""
        story = cls({})
        story.entries, story.clock = list(entries), clock
        story.methods = {p.role: Method.AUTOMATIC for p in story.agreement.current.parties}
        return story

    @property
    def now(self) -> str:
        return timestamp(self.clock.now())

    @property
    def agreement(self) -> Agreement:
        return fold(self.entries)

    @property
    def next(self) -> Step | None:
        return next_step(self.agreement, self.clock.now())

    def append(self, type: str, **data: Any) -> None:
        self._append(type, self.agreement.current.number, data)

    def amend(self, **data: Any) -> None:
        """Open a version like the first one but for `data`."""
        number = len(self.agreement.versions) + 1
        self._append(
            "amended", number, {**self.entries[0].data, "command_id": f"c-{len(self.entries)}", **data}
        )

    def _append(self, type: str, version: int, data: Mapping[str, Any]) -> None:
        last = self.entries[-1]
        self.entries.append(
            following(last, id=f"e-{last.seq + 1}", at=self.now, type=type, version=version, data=data)
        )

    def command(self, draft: Draft) -> None:
        """Append what a move of `service.domain.moves` gave, as intake does."""
        self.append(draft.type, command_id=f"c-{len(self.entries)}", payload_sha256="00", **draft.data)

    def rest(self) -> None:
        """Do every step until the agreement rests."""
        while (step := self.next) is not None:
            self.do(step)
            assert len(self.entries) < 500

    def do(self, step: Step) -> None:
        number = len(self.entries)
        revision = {"sha256": f"r{number}", "bytes": 100 + number}
        field = step.field
        version = self.agreement.current
        if step.kind in _OF_A_ROLE:
            self.append(_OF_A_ROLE[step.kind], role=field)
        match step.kind:
            case StepKind.RENDER:
                self.append("rendered", template_sha256="t", docx_sha256="d", revision=revision)
            case StepKind.REQUEST:
                asked = [
                    p
                    for p in version.open_parties()
                    if p.requested_at is None and not version.must_declare(p.role)
                ]
                self.append("signature-requested", requests=[self._request(version, p) for p in asked])
            case StepKind.PREPARE:
                self._prepare(str(field), number)
            case StepKind.SIGN if field == SEAL:
                self.append("sealed", field=field, revision=revision)
            case StepKind.SIGN:
                self.append(
                    "party-signed",
                    field=field,
                    role=field,
                    revision=revision,
                    signed_at=self.now,
                    certificate_sha256="c",
                    evidence_sha256=None,
                    by=None,
                )
            case StepKind.COLLECT | StepKind.GIVE_UP:
                self._end_wait(step)
            case StepKind.RENEW | StepKind.SCHEDULE:
                self._keep_up(step, number)
            case StepKind.FOLLOW_UP | StepKind.REMIND:
                self._tell(step)
            case StepKind.AUGMENT:
                self.append("augmented", revision=revision)
            case StepKind.VERIFY | StepKind.RENDER_RECEIPT | StepKind.ISSUE_RECEIPT:
                self._complete(step)

    def _complete(self, step: Step) -> None:
        if step.kind is StepKind.VERIFY:
            self.append("verified", report_sha256="v")
        elif step.kind is StepKind.RENDER_RECEIPT:
            self.append("receipt-rendered", receipt_sha256="q", receipt_pdf_sha256="qp")
        else:
            sealed = {"receipt_signature_sha256": "s", "receipt_pdf_sha256": "qs"}
            self.append("signed", **sealed, renewal=self.renewal)

    @property
    def renewal(self) -> dict[str, str]:
        """Due in nine years' time: after all else that happens in a story."""
        return {
            "renew_by": self._in(timedelta(days=9 * 365)),
            "ends": self._in(timedelta(days=10 * 365)),
            "reason": "certificate",
        }

    def _keep_up(self, step: Step, number: int) -> None:
        renewed = {
            "reason": "certificate",
            "digest": "sha256",
            "revision": {"sha256": f"r{number}", "bytes": 100 + number},
            "receipt_pdf_sha256": f"qs{number}",
            "receipt_pdf_bytes": 100 + number,
            "report_sha256": f"v{number}",
            "renewal_receipt_sha256": f"n{number}",
            "renewal_receipt_signature_sha256": f"ns{number}",
        }
        version, data = int(str(step.field)), {"renewal": self.renewal}
        if step.kind is StepKind.RENEW:
            self._append("renewed", version, renewed | data)
        else:
            self._append("renewal-scheduled", version, data)

    def _prepare(self, field: str, number: int) -> None:
        method = None if field == SEAL else self.methods[field]
        person = method in {Method.OUTSIDE, Method.REDIRECT}
        self.append(
            "signature-prepared",
            field=field,
            base_sha256=self.agreement.current.document.sha256,
            prepared_sha256=f"p{number}",
            lease_until=self._in(timedelta(minutes=15)) if person else None,
            state_sha256=f"s{number}" if method is Method.REDIRECT else None,
        )

    def _end_wait(self, step: Step) -> None:
        if step.kind is StepKind.GIVE_UP:
            self.append("signature-discarded", field=step.field, prepared_sha256="p", reason="too_late")
            return
        self.append(
            "signature-received",
            field=step.field,
            prepared_sha256="p",
            kind="signature",
            answer_sha256="v",
            evidence_sha256=None,
        )

    def _tell(self, step: Step) -> None:
        if step.kind is StepKind.REMIND:
            end = end_of(self.agreement.current)
            self.append("reminded", what=step.field, end=end, waiting=[])
        else:
            what, _, item = str(step.field).partition(":")
            self.append("follow-up-told", item=item, what=what)

    def _request(self, version: Version, party: Party) -> dict[str, Any]:
        deadline = self._in(timedelta(days=party.deadline_days)) if party.deadline_days else None
        method = version.method_of(party.role, self.methods[party.role])
        return {"role": party.role, "method": method, "deadline": party.deadline or deadline}

    def _in(self, wait: timedelta) -> str:
        return timestamp(self.clock.now() + wait)
