"""What an installation needs: memory of each kind of worker, processor time and store for an agreement.

    python benchmarks/sizing.py [COUNT]

Starts a renderer, a signer, a sweeper and the HTTP service as an installation would, each as processes of its own with
one working process, on the embedded broker, a directory store and the development PKI. Sends COUNT agreements (20) of
examples/agreement.json one after another, and reads memory (PSS, so that what processes share is counted once) and
processor time of each with all that it started out of /proc, at the end. Broker and development PKI are left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = {
    "render": (["worker", "--sweep", "no"], {"SIGNERT_CAPABILITIES": "render"}),
    "sign": (["worker", "--sweep", "no"], {"SIGNERT_CAPABILITIES": "sign"}),
    "sweeper": (["worker", "--sweep", "only"], {}),
    "http": (["serve", "--port", "{port}", "--workers", "1"], {}),
}
SHARED = ("service.adapters.broker", "service.adapters.devpki_server", "valkey-server")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "SIGNERT_HOME": folder, "SIGNERT_CONCURRENCY": "1", "PYTHONPATH": str(ROOT)}
        with contextlib.ExitStack() as stack:
            workers = {name: stack.enter_context(running(name, env, Path(folder))) for name in KINDS}
            submit(env)  # warms everything
            before = {name: seconds(tree(process.pid)) for name, process in workers.items()}
            size = stored(Path(folder))
            for _ in range(count):
                submit(env)
            print(f"{count} agreements, one after another\n")
            print(f"{'':10} {'memory MiB':>10} {'CPU s an agreement':>20}")
            for name, process in workers.items():
                pids = tree(process.pid)
                each = (seconds(pids) - before[name]) / count
                print(f"{name:10} {memory(pids):10.0f} {each:20.2f}")
            total, objects = (now - then for now, then in zip(stored(Path(folder)), size, strict=True))
            print(f"\nstore: {total / count / 1024:.0f} KiB in {objects / count:.0f} objects an agreement")


@contextlib.contextmanager
def running(name: str, env: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words, own = KINDS[name]
    words = [word.format(port=20000 + os.getpid() % 20000) for word in words]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.entrypoints.cli", *words],
            env=env | own,
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def submit(env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.entrypoints.cli", "submit", "examples/agreement.json", "--wait", "--json"],
        env=env, cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["versions"][-1]["status"] == "signed"


def tree(pid: int) -> list[int]:
    """A process and all that it started, but for what all share."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    if any(name in command for name in SHARED):
        return []
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(p for each in children for child in each.read_text().split() for p in tree(int(child)))]


def memory(pids: list[int]) -> float:
    """MiB."""
    found = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return found / 1024


def seconds(pids: list[int]) -> float:
    """Processor time, also of children that have ended."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def stored(folder: Path) -> tuple[int, int]:
    files = [p.stat().st_size for p in (folder / "store").rglob("*") if p.is_file()]
    return sum(files), len(files)


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"\n{time.monotonic() - began:.0f} s")
