"""The HTTP service against its own OpenAPI document: whatever is sent, it answers as that says, and never with 500."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.shelved import changed, mentor, protected
from tests.webservice import WebService, web_service

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebService]:
    with web_service(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture(scope="module")
def ids(web: WebService) -> list[str]:
    """Agreements of several kinds."""
    amended = web.shelf.signed(mentor())
    web.shelf.amended(amended, mentor())
    waiting = web.shelf.open(changed(mentor(), case={"system": "arena", "reference": "X-1"}))
    return [amended, waiting, web.shelf.signed(protected(mentor()), screened=True)]


@pytest.fixture(scope="module")
def api(web: WebService) -> BaseSchema:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", web.app)


@pytest.fixture(scope="module")
def statuses() -> Iterator[Counter[int]]:
    found: Counter[int] = Counter()
    yield found
    sys.stdout.write(f"schemathesis: {found.total()} requests, by status {dict(sorted(found.items()))}\n")
    # Else nothing has been tried but doors that are shut.
    assert {200, 400, 404} <= found.keys()
    assert not [status for status in found if status >= 500]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
def test_the_service_keeps_its_document(
    path: str, mode: GenerationMode, api: BaseSchema, web: WebService, ids: list[str], statuses: Counter[int]
) -> None:
    @given(case=api[path]["GET"].as_strategy(generation_mode=mode))
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        asked = sum(str(case.path_parameters.get("agreement_id", "")).encode())
        if asked % 4:  # the rest are other people's, or no ids at all
            case.path_parameters["agreement_id"] = ids[asked % len(ids)]
        role = ("archivist", "archivist", "operator")[asked % 3]
        response = case.call_and_validate(
            headers={"Authorization": f"Bearer {web.token(role)}"},
            # No schema can say which cursors we gave; and what was wrong may just have been put right here.
            excluded_checks=[positive_data_acceptance, negative_data_rejection],
        )
        statuses[response.status_code] += 1

    ask()
