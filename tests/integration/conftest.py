"""LibreOffice, keys and the development PKI, opened once for the tests of faults and races."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agreements import Running, running_services
from tests.archived import Archived, archived
from tests.packages import write_packages


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.fixture(scope="session")
def archive(running: Running) -> Archived:
    """Signed agreements of every kind; nobody may change them."""
    return archived(running)


@pytest.fixture(scope="session")
def packages(archive: Archived, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of each; nobody may change them."""
    return write_packages(archive.store, tmp_path_factory.mktemp("packages") / "out")


@pytest.fixture
def package(archive: Archived, packages: Path, tmp_path: Path) -> Path:
    """A copy of the richest one, with its checksums beside it."""
    agreement_id = archive.ids["protected"]
    shutil.copy(packages / f"{agreement_id}.sha256", tmp_path)
    return Path(shutil.copytree(packages / agreement_id, tmp_path / agreement_id))
