"""LibreOffice, keys and the development PKI, opened once for the tests of faults and races."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.folding import fold
from service.pipeline.ledger import blob_key
from tests.agreements import Running, running_services
from tests.archived import Archived, archived
from tests.fakes import EventList
from tests.packages import write_packages
from tests.pagesite import PageSite, Served, serve
from tests.pagesite import page_site as make_page_site


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.fixture(scope="session")
def page_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageSite]:
    with make_page_site(tmp_path_factory.mktemp("pages")) as made:
        yield made


@pytest.fixture(scope="session")
def page_server(page_site: PageSite) -> Iterator[Served]:
    with serve(page_site, HTTP_ADDRESS_RATE="100000/minute") as served:
        yield served


@pytest.fixture(scope="session")
def signed_pdf(page_site: PageSite) -> bytes:
    """A document that three parties have signed."""
    version = fold(
        page_site.running.on(page_site.store, EventList()).ledger.read(page_site.ids["signed"])
    ).current
    return page_site.store.get(blob_key(page_site.ids["signed"], version.document.sha256, "pdf"))


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
