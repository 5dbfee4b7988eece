"""`signert doctor` on a set-up that works, and on many that do not: what is wrong is named, with the way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.wrappers import Response

from service.entrypoints.cli import cli
from service.pipeline.doctor import State, check_anchors, check_timestamps
from tests.pki import TestPki
from tests.ports import free_ports
from tests.rabbitmq import RabbitNode
from tests.s3server import S3Server
from tests.signing_documents import Signers

pytestmark = [pytest.mark.office, pytest.mark.pki]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Told:
    code: int
    findings: list[Mapping[str, str]]

    def of(self, state: str) -> dict[str, str]:
        """Messages by check and subject."""
        return {f"{f['check']} {f['subject']}": f["message"] for f in self.findings if f["state"] == state}


Doctor = Callable[..., Told]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    def ask(*only: str, **environment: str) -> Told:
        home = {"SIGNERT_HOME": str(tmp_path / "home")}
        settings = {f"SIGNERT_{name.upper()}": value for name, value in environment.items()}
        chosen = [word for name in only for word in ("--only", name)]
        done = CliRunner().invoke(
            cli, ["doctor", *chosen, "--json"], obj=None, env={**home, **settings}, catch_exceptions=False
        )
        told: Any = json.loads(done.stdout)
        assert told["well"] == (done.exit_code == 0)
        for finding in told["findings"]:
            assert finding["state"] == "ok" or finding["remedy"], finding
        return Told(done.exit_code, told["findings"])

    return ask


@pytest.fixture
def own(pki: TestPki) -> dict[str, str]:
    """Settings with the test PKI's keys."""
    return {
        "seal": pki.credential_uri("seal"),
        "credential_employer": pki.credential_uri("employer"),
        "tsa": f"{pki.tsa_url},{pki.tsa2_url}",
        "trust": str(pki.root),
    }


def test_a_set_up_that_works(
    doctor: Doctor, own: dict[str, str], s3_credentials: S3Server, rabbitmq: RabbitNode
) -> None:
    store = {"store": f"s3://{s3_credentials.LOCKED}/doctor", "s3_endpoint": s3_credentials.endpoint}
    told = doctor(broker=rabbitmq.url, s3_lock="compliance", **store, **own)
    assert told.code == 0
    assert told.of("error") == told.of("warning") == {}
    checks = {f["check"] for f in told.findings}
    assert checks == {
        "configuration", "broker", "store", "templates", "fonts", "office", "anchors", "keys", "timestamps",
    }  # fmt: skip
    assert {"keys seal", "keys employer", "timestamps clock"} <= told.of("ok").keys()


def test_development_as_it_comes(doctor: Doctor) -> None:
    told = doctor("broker", "store", "keys", "timestamps")
    assert told.code == 0
    assert told.of("warning").keys() == {"configuration keys", "store locks", "timestamps all"}


def test_a_setting_that_is_none(doctor: Doctor) -> None:
    told = doctor(sotre="file:///x")
    assert told.code == 3
    assert told.of("error") == {
        "configuration configuration": "SIGNERT_SOTRE: there is no such setting; is SIGNERT_STORE meant?"
    }


def test_a_broker_that_is_not_there(doctor: Doctor) -> None:
    told = doctor("broker", broker=f"amqp://127.0.0.1:{free_ports(1)[0]}")
    assert "does not answer" in told.of("error")["broker broker"]


def test_a_folder_that_is_none_and_a_bucket_that_is_not_there(
    doctor: Doctor, tmp_path: Path, s3_credentials: S3Server
) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in doctor("store", store=f"file://{tmp_path}/file").of("error")["store store"]
    told = doctor("store", store="s3://no-such-bucket", s3_endpoint=s3_credentials.endpoint)
    assert "NoSuchBucket" in told.of("error")["store store"]


def test_a_template_that_was_altered(doctor: Doctor, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    altered = tmp_path / "templates/tilretteleggingsavtale/1.0.0/nn.docx"
    altered.write_bytes(altered.read_bytes() + b" ")
    (message,) = doctor("templates", templates=str(tmp_path / "templates")).of("error").values()
    assert "tilretteleggingsavtale 1.0.0" in message


def test_no_libreoffice_and_no_font(doctor: Doctor, tmp_path: Path) -> None:
    told = doctor("office", "fonts", soffice=str(tmp_path / "soffice"), font=str(tmp_path / "font.ttf"))
    assert told.of("error").keys() == {"office office", f"fonts {tmp_path}/font.ttf"}


@pytest.mark.parametrize(
    ("label", "word"),
    [("expired", "expired"), ("revoked", "revoked"), ("stranger", "does not lead"), ("missing", "cannot be")],
)
def test_a_key_that_cannot_be_used(
    doctor: Doctor, own: dict[str, str], pki: TestPki, label: str, word: str
) -> None:
    address = pki.credential_uri(label) if label != "missing" else "pkcs12:/nowhere.p12"
    told = doctor("keys", **(own | {"credential_employer": address}))
    assert told.of("error").keys() == {"keys employer"}
    assert word in told.of("error")["keys employer"]
    assert "keys seal" in told.of("ok")


def test_authorities_that_do_not_answer(doctor: Doctor, own: dict[str, str], pki: TestPki) -> None:
    with pki.fault("/tsa/tsa2", lambda _: Response(status=503)):
        told = doctor("timestamps", **own)
    assert told.of("error").keys() == {f"timestamps {pki.tsa2_url}"}
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/tsa"
    told = doctor("timestamps", **(own | {"tsa": nobody}))
    assert told.of("error").keys() == {f"timestamps {nobody}", "timestamps all"}


def test_issuers_that_nobody_trusts(doctor: Doctor, own: dict[str, str], pki: TestPki) -> None:
    told = doctor("keys", "timestamps", **(own | {"trust": str(pki.foreign_root)}))
    errors = told.of("error")
    assert {"keys seal", "keys employer", f"timestamps {pki.tsa_url}", "timestamps all"} == errors.keys() - {
        f"timestamps {pki.tsa2_url}"
    }


def test_a_clock_that_is_wrong(signers: Signers, running: Any) -> None:
    keys = replace(running.services.keys, trust=signers.trust, timestamps=signers.timestamps)
    now = running.services.clock.now
    for off, state in ((timedelta(), State.OK), (timedelta(seconds=20), State.WARNING)):
        (said,) = [s for s in check_timestamps(keys, lambda off=off: now() - off) if s.subject == "clock"]
        assert said.state is state


def test_anchors_that_have_ended(signers: Signers) -> None:
    now = signers.trust.certificates[0].not_valid_after
    assert {s.state for s in check_anchors(signers.trust, now - timedelta(days=100))} == {State.OK}
    assert {s.state for s in check_anchors(signers.trust, now - timedelta(days=10))} == {State.WARNING}
    assert {s.state for s in check_anchors(signers.trust, now + timedelta(days=1))} == {State.ERROR}
