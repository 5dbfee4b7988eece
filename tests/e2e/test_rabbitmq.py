"""What only RabbitMQ has: its queues, a restart in the midst of work, TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection

from tests.e2e.conftest import (
    ABANDONED_AFTER,
    EXAMPLES,
    Installation,
    all_signed,
    log_entries,
    running_worker,
    submit,
    wait_until,
)
from tests.rabbitmq import RabbitNode

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]


def test_a_broker_that_restarts_in_the_midst_of_work(node: RabbitNode, tmp_path: Path) -> None:
    installation = Installation(
        tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_ABANDONED_AFTER=ABANDONED_AFTER
    )
    with running_worker(installation):
        ids = submit(installation, 2)
        for gracefully in (False, True):
            before = log_entries(installation)
            wait_until(lambda before=before: log_entries(installation) > before)  # type: ignore[misc]
            node.restart(gracefully=gracefully)
        ids |= submit(installation, 1)
        all_signed(installation, ids)


def test_the_queues_are_what_they_should_be(node: RabbitNode, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home", SIGNERT_BROKER=node.url)
    with running_worker(installation):
        for name in ("signert.commands", "signert.render", "signert.sign"):
            queue = node.queue(name)
            assert queue
            assert queue["arguments"]["x-queue-type"] == "quorum"
            assert queue["arguments"]["x-delivery-limit"] > 0
            assert queue["arguments"]["x-dead-letter-exchange"] == "signert.dead-letters"
        assert {"signert.events", "signert.dead-letters", "signert.commands.retry"} <= set(node.queues())


@pytest.mark.parametrize("fault", [None, "authority", "name"])
def test_the_broker_is_known_by_its_certificate(node: RabbitNode, tmp_path: Path, fault: str | None) -> None:
    url = node.tls_url
    installation = Installation(
        tmp_path / "home",
        SIGNERT_BROKER=url.replace("localhost", "ip6-localhost") if fault == "name" else url,
        SIGNERT_BROKER_CA=str(node.other_ca if fault == "authority" else node.ca),
        SIGNERT_BROKER_CERTIFICATE=str(node.client_certificate),
        SIGNERT_BROKER_KEY=str(node.client_key),
    )
    sent = installation.signert("submit", EXAMPLES / "minimal.json", ok=3 if fault else 0)
    if fault:
        assert "broker" in sent.stderr
        assert RabbitNode.PASSWORD not in sent.stderr
        return
    with running_worker(installation):
        with Connection(node.url) as connection:
            assert connection.connected is False
        installation.environ["SIGNERT_BROKER"] = node.url  # to read events here
        del installation.environ["SIGNERT_BROKER_CA"]
        installation.event(lambda e: e["type"] == "agreement.signed", seconds=120)
