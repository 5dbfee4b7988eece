"""What must be true after the fault test, looked for in the store, in the queues, and in the workers' logs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from service.domain.agreement import Status
from service.domain.folding import fold
from service.domain.log import Entry, check_chain, gather, gathered_key
from service.errors import LogCorrupt
from tests.chaos.messages import Order, Reader, message_body, personal_texts
from tests.e2e.conftest import Installation
from tests.rabbitmq import RabbitNode
from tests.s3server import S3Server

__all__ = ["Audit", "Store", "tails"]

_RECEIVED = re.compile(r"Task signert\.v1\.(\w+)\[([0-9a-f-]+)\] received")
_RETRIED = re.compile(r"Task signert\.v1\.(?:\w+)\[([0-9a-f-]+)\] retry")
_PARKED = re.compile(r"parked agreement=(\S+) step=(\S+) code=(\S+)")
_STORE = re.compile(r"store did not .* fault=(.+)$", re.MULTILINE)


class Store:
    """The bucket as a plain S3 client sees it, without our own adapter."""

    def __init__(self, server: S3Server, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = server.client(), bucket, f"{prefix}/"

    def keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        return sorted(o["Key"].removeprefix(self._prefix) for page in pages for o in page.get("Contents", ()))

    def get(self, key: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        return body

    def versions(self, prefix: str) -> Counter[str]:
        """How many versions and delete markers each key has."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        return Counter(
            v["Key"].removeprefix(self._prefix)
            for page in pages
            for v in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        )

    def is_locked(self, key: str) -> bool:
        head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        return bool(head.get("ObjectLockMode") == "GOVERNANCE")


class Audit:
    """`run` collects in `wrong` all that is not as it must be, one sentence each; `figures` are what it counted."""

    def __init__(
        self,
        installation: Installation,
        store: Store,
        node: RabbitNode,
        reader: Reader,
        orders: Sequence[Order],
    ) -> None:
        self._installation, self._store, self._node = installation, store, node
        self._reader, self._orders = reader, orders
        self.wrong: list[str] = []
        self.figures: dict[str, Any] = {"lost": {}}
        self.findings: list[Mapping[str, str]] = []
        self._told: set[str] = set()
        """The ids of the events that logs and quarantine tell."""

    def run(self, logs: Sequence[Path]) -> None:
        """With all servers up, and `logs` of all workers."""
        self.figures |= log_figures(logs)
        self.wrong += [f"{log.name}: {line}" for log in logs for line in _unforeseen(log)]
        self._check_privacy(logs)
        for check in (
            self._check_agreements,
            self._check_quarantine,
            self._check_events,
            self._check_commands,
            self._check_queues,
            self._check_deliveries,
            self._check_whole_store,
        ):
            try:
                check()
            except ClientError as exc:  # something is not where it must be
                self.wrong.append(f"{check.__name__}: {exc}")

    # --- agreements ---------------------------------------------------------------------------------------

    def _check_agreements(self) -> None:
        """Each is there once, whole, and signed once."""
        wanted = {o.agreement_id for o in self._orders if o.agreement_id}
        logs: dict[str, list[str]] = defaultdict(list)
        gathered = set()
        for key in self._store.keys("agreements/"):
            _, agreement_id, folder, *_ = key.split("/")
            if folder == "log":
                logs[agreement_id].append(key)
            elif key == gathered_key(agreement_id):
                gathered.add(agreement_id)
        self.wrong += [f"agreement {i} is lost" for i in sorted(wanted - set(logs))]
        self.wrong += [f"agreement {i} was never asked for" for i in sorted(set(logs) - wanted)]
        entries = 0
        for agreement_id, keys in sorted(logs.items()):
            try:
                log = [Entry.parse(self._store.get(key)) for key in keys]
                check_chain(agreement_id, log)
                status = fold(log).current.status
            except LogCorrupt as exc:
                self.wrong.append(f"agreement {agreement_id}: {exc.message}")
                continue
            entries += len(log)
            self._told.update(e["id"] for entry in log for e in entry.cloud_events())
            types = Counter(entry.type for entry in log)
            if status is not Status.SIGNED or types["signed"] != 1 or types["submitted"] != 1:
                self.wrong.append(f"agreement {agreement_id} is {status}: {dict(types)}")
            if not all(map(self._store.is_locked, keys)):
                self.wrong.append(f"agreement {agreement_id}: a log entry is not locked")
            if agreement_id in gathered:  # it need not be: a fault then is for the next time
                body = self._store.get(gathered_key(agreement_id))
                if body != gather(log[: body.count(b"\n") + 1]):
                    self.wrong.append(f"agreement {agreement_id}: what is gathered of the log differs")
        for key, number in self._store.versions("agreements/").items():
            if number != 1 and not key.endswith("/log.jsonl"):
                self.wrong.append(f"{key} was written {number} times")
        self.figures["log_entries"] = entries
        self.figures["lost"]["agreements"] = len(wanted - set(logs))

    def _check_deliveries(self) -> None:
        """What each `agreement.signed` names is there as it says, and OpenSSL alone proves the receipt."""
        root = self._installation.home / "devpki/root.pem"
        for agreement_id, event in sorted(self._reader.signed.items()):
            files = {}
            for what in ("document", "receipt", "receipt_signature", "receipt_pdf"):
                stated = event["data"][what]
                files[what] = self._store.get(stated["storage_key"])
                if hashlib.sha256(files[what]).hexdigest() != stated["sha256"]:
                    self.wrong.append(f"agreement {agreement_id}: the {what} is not the one that was told")
                if not self._store.is_locked(stated["storage_key"]):
                    self.wrong.append(f"agreement {agreement_id}: the {what} is not locked")
            with tempfile.TemporaryDirectory() as folder:
                receipt, signature = Path(folder, "receipt.json"), Path(folder, "receipt.json.p7s")
                receipt.write_bytes(files["receipt"])
                signature.write_bytes(files["receipt_signature"])
                done = subprocess.run(
                    [
                        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any",
                        "-in", signature, "-content", receipt, "-CAfile", root, "-out", "/dev/null",
                    ],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
            if done.returncode != 0:
                self.wrong.append(
                    f"agreement {agreement_id}: openssl does not prove the receipt: {done.stderr}"
                )

    def _check_privacy(self, logs: Sequence[Path]) -> None:
        """However things fail: no log and no event says who the agreement is about."""
        said = {log.name: log.read_text(errors="replace") for log in logs}
        said["an event"] = json.dumps(
            [*self._reader.signed.values(), *self._reader.refusals()], ensure_ascii=False
        )
        for secret in personal_texts():
            self.wrong += [
                f"{where} tells a name or number" for where, text in said.items() if secret in text
            ]

    # --- messages -----------------------------------------------------------------------------------------

    def _check_quarantine(self) -> None:
        """Only what was bad is kept there, and all of it."""
        bad = {o.body for o in self._orders if o.refusal}
        kept: set[bytes] = set()
        for key in self._store.keys("quarantine/"):
            record = json.loads(self._store.get(key))
            self._told.add(record["event"]["id"])
            body = _body_of(record["message"], bad)
            if body is None:
                self.wrong.append(f"{key} was no bad message: {record['error']['code']}")
            else:
                kept.add(body)
        for order in self._orders:
            if order.refusal and order.body not in kept:
                self.wrong.append(f"a bad message ({order.refusal}) was not kept")

    def _check_events(self) -> None:
        told, seen = self._told, self._reader.seen
        self.wrong += [f"event {i} was never published" for i in sorted(told - set(seen))]
        self.wrong += [f"event {i} is in no log" for i in sorted(set(seen) - told)]
        self.figures["events"] = {"told": len(told), "distinct": len(seen), "seen": seen.total()}
        self.figures["lost"]["events"] = len(told - set(seen))

    def _check_commands(self) -> None:
        claimed = {
            key.removeprefix("commands/").removesuffix(".json") for key in self._store.keys("commands/")
        }
        good = {o.command_id for o in self._orders if o.agreement_id}
        taken = {o.command_id for o in self._orders if o.refusal == "agreement_exists"}
        self.wrong += [f"command {i} is lost" for i in sorted(map(str, good - claimed))]
        self.figures["lost"]["commands"] = len(good - claimed)
        self.wrong += [f"command {i} was not to be taken in" for i in sorted(claimed - good - taken)]
        for left in [*self._store.keys("work/"), *self._store.keys("outbox/")]:
            self.wrong.append(f"{left} is left")

    def _check_queues(self) -> None:
        for name in ("signert.dead-letters", Reader.QUEUE):
            queue = self._node.queue(name)
            if queue is None or queue["messages"]:
                self.wrong.append(f"queue {name}: {queue}")

    def parked(self) -> list[str]:
        """The work markers that are left, and why they are parked."""
        found = []
        for key in self._store.keys("work/"):
            marker = json.loads(self._store.get(key))
            found.append(f"{key}: {json.dumps(marker)}")
        return found

    # --- the whole store ----------------------------------------------------------------------------------

    def _check_whole_store(self) -> None:
        """With the tool that operators have."""
        done = self._installation.signert("fsck", "--json", ok=None)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            self.wrong.append(f"signert fsck: exit status {done.returncode}: {done.stderr[-2000:]}")
            return
        self.findings = report["findings"]
        self.figures["fsck"] = report["counts"] | {"sound": report["sound"]}
        self.figures["fsck_notes"] = dict(
            Counter(f["code"] for f in self.findings if f["severity"] != "error")
        )
        self.wrong += [
            f"fsck: {f['code']} {f['where']}: {f['message']}"
            for f in self.findings
            if f["severity"] == "error"
        ]
        agreements = len({o.agreement_id for o in self._orders if o.agreement_id})
        if done.returncode != 0 or report["counts"]["by_status"] != {"signed": agreements}:
            self.wrong.append(f"fsck counts {report['counts']['by_status']}, exit status {done.returncode}")


def _body_of(message: Any, bad: Container[bytes]) -> bytes | None:
    """Which of the bad bodies a message in quarantine is."""
    if not isinstance(message, dict):
        return None
    if "body_base64" in message:
        body = base64.b64decode(message["body_base64"])
        return body if body in bad else None
    body = message_body(message)
    return body if body in bad else None


def _unforeseen(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if "unforeseen" in line]


def log_figures(logs: Sequence[Path]) -> dict[str, Any]:
    """What the workers tell: messages that came again, steps that were parked, requests to the store sent again."""
    received: Counter[str] = Counter()
    retried: Counter[str] = Counter()
    parked: Counter[str] = Counter()
    store: Counter[str] = Counter()
    handed_on = 0
    for log in logs:
        text = log.read_text(errors="replace")
        received.update(i for name, i in _RECEIVED.findall(text) if name != "sweep")
        retried.update(_RETRIED.findall(text))
        parked.update(code for _, _, code in _PARKED.findall(text))
        store.update(_STORE.findall(text))
        handed_on += text.count("swept what=handed-on")
    again = sum(max(0, n - 1 - retried[i]) for i, n in received.items())
    return {
        "redeliveries": again,
        "tried_later": retried.total(),
        "parked": dict(parked),
        "handed_on": handed_on,
        "store_requests_repeated": dict(store),
    }


def tails(logs: Sequence[Path], lines: int = 40) -> str:
    """The ends of the newest logs, for people."""
    return "\n".join(
        f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
        for log in logs[-6:]
    )
