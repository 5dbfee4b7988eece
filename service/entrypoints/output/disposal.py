"""What is said of erasure: the list of what may be erased, and what was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.errors import SignertError
    from service.pipeline.drive import Outcome
    from service.pipeline.erase import Disposable

__all__ = ["Erased", "disposal_file", "disposal_list", "erased"]

_DECISIONS = {"dispose": "to be disposed of", "review": "to be reviewed", None: "never signed by all"}


@dataclass(frozen=True)
class Erased:
    """What became of one: either refused, or driven as far as it went."""

    agreement_id: str
    outcome: Outcome | None
    refused: SignertError | None

    @property
    def is_done(self) -> bool:
        erasure = self.outcome.agreement.erasure if self.outcome else None
        return bool(erasure and erasure.done_at)


def disposal_file(form: str, on: str, found: Sequence[Disposable]) -> bytes:
    """The list as a file: JSON, an agreement a line, so that a line can be taken out."""
    lines = ",\n".join(json.dumps(each.as_json(), ensure_ascii=False) for each in found)
    head = f'{{"format": {json.dumps(form)}, "on": {json.dumps(on)}, "agreements": [\n'
    return f"{head}{lines}\n]}}\n".encode()


def disposal_list(found: Sequence[Disposable], target: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"agreements": [each.as_json() for each in found], "written": target and str(target)})
        return
    for each in found:
        told = (
            f"{_DECISIONS[each.disposal]} ({each.authority})" if each.authority else _DECISIONS[each.disposal]
        )
        click.echo(
            f"{each.agreement_id}  since {each.since}  {each.case_system} {each.case_reference}  {told}"
        )
    click.echo(f"{len(found)} may be erased.")
    if target:
        click.echo(
            f"Wrote {target}. Take out what is to be kept, then: signert disposal approve {target} --approver …"
        )


def erased(results: Sequence[Erased], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(each) for each in results])
        return
    for each in results:
        if each.refused:
            click.echo(f"{each.agreement_id}  not erased: {each.refused.message} [{each.refused.code}]")
        elif each.is_done:
            assert each.outcome is not None
            assert each.outcome.agreement.erasure is not None
            click.echo(f"{each.agreement_id}  erased; record {each.outcome.agreement.erasure.record_sha256}")
        else:
            click.echo(f"{each.agreement_id}  ordered; a worker goes on with it (see `signert show`)")
    click.echo(f"{sum(each.is_done for each in results)} of {len(results)} erased.")


def _as_json(each: Erased) -> dict[str, object]:
    erasure = each.outcome.agreement.erasure if each.outcome else None
    return {
        "agreement_id": each.agreement_id,
        "erased": each.is_done,
        "record_sha256": erasure.record_sha256 if erasure else None,
        "code": each.refused.code if each.refused else None,
        "message": each.refused.message if each.refused else None,
    }
