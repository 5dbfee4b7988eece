"""LibreOffice, keys and the development PKI, opened once for the tests of faults and races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agreements import Running, running_services
from tests.archived import Archived, archived


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.fixture(scope="session")
def archive(running: Running) -> Archived:
    """Signed agreements of every kind; nobody may change them."""
    return archived(running)
