"""A Containerfile as instructions, and how its stages are carried out in folders, without a container engine.

It understands what our file uses, and refuses the rest: ARG, FROM, RUN (shell form, `--mount=type=secret`), COPY
(`--from`, no other option), ENV, WORKDIR, USER, LABEL, EXPOSE, STOPSIGNAL, ENTRYPOINT and CMD (exec form). Each layer
is a folder of its own over those before it (overlayfs), so a stage that starts from another costs nothing.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Builder", "Image", "Instruction", "parse", "sent"]

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_SECRET: Final = re.compile(r"--mount=type=secret,id=(?P<id>[\w-]+),target=(?P<target>/\S+)\s+")


@dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    value: str


def parse(text: str) -> list[Instruction]:
    """The instructions, continuation lines joined and comments left out. Raises `ValueError`."""
    found: list[Instruction] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        start = start if pending else number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        name, _, value = pending.strip().partition(" ")
        found.append(Instruction(start, name.upper(), value.strip()))
        pending = ""
    if pending:
        raise ValueError(f"line {start}: the last instruction goes on and does not end")
    return found


def sent(context: Path, ignored: str) -> Callable[[Path], bool]:
    """Whether a path of the context goes to the builder: the last line of `.containerignore` that fits says."""
    rules = []
    for line in filter(None, map(str.strip, ignored.splitlines())):
        if not line.startswith("#"):
            rules.append((line.removeprefix("!"), line.startswith("!")))

    def fits(path: str, pattern: str) -> bool:
        if pattern.startswith("**/"):
            return any(fnmatch.fnmatch(part, pattern[3:]) for part in path.split("/"))
        parts, wanted = path.split("/"), pattern.split("/")
        return len(parts) >= len(wanted) and all(map(fnmatch.fnmatch, parts, wanted))

    def goes(path: Path) -> bool:
        name, kept = path.relative_to(context).as_posix(), True
        for pattern, exception in rules:
            if fits(name, pattern):
                kept = exception
        return kept

    return goes


@dataclass
class Image:
    """A stage that has been built: its layers, newest first, and how it is run."""

    layers: list[Path]
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"

    def copy(self) -> Image:
        return Image(
            list(self.layers), dict(self.env), self.workdir, self.user, dict(self.labels), list(self.entrypoint),
            list(self.cmd), self.stop_signal,
        )  # fmt: skip


class Builder:
    """Carries out the stages that a target needs.

    `base` is a folder with the file system that the first FROM means. `secrets` are files by id; one that is not given
    is not mounted. `say` is told each instruction before it is carried out. Needs root, for mounts and chroot.
    """

    def __init__(
        self,
        file: Path,
        *,
        base: Path,
        work: Path,
        secrets: Mapping[str, Path],
        say: Callable[[str], None],
    ) -> None:
        self._context = file.parent
        self._goes = sent(self._context, (self._context / ".containerignore").read_text())
        self._base, self._work, self._secrets, self._say = base, work, secrets, say
        self._globals: dict[str, str] = {}
        self._stages: dict[str, tuple[Instruction, list[Instruction]]] = {}
        self._built: dict[str, Image] = {}
        current: list[Instruction] | None = None
        for step in parse(file.read_text()):
            if step.name == "FROM":
                source, stage = step.value.split(" AS ")
                current = []
                self._stages[stage] = (Instruction(step.line, "FROM", source), current)
            elif current is None:
                self._globals.update([_argument(step.value)])
            else:
                current.append(step)

    @property
    def stages(self) -> list[str]:
        return list(self._stages)

    def build(self, stage: str) -> Image:
        """The image of that stage; those it needs are built first, each once."""
        if stage not in self._built:
            self._built[stage] = self._build(stage)
        return self._built[stage]

    def _build(self, stage: str) -> Image:  # noqa: PLR0912 (one case an instruction)
        head, steps = self._stages[stage]
        source = _expand(head.value, self._globals)
        if source in self._stages:
            image = self.build(source).copy()
        elif source == "scratch":
            image = Image([])
        else:
            image = Image(
                [self._base], {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
            )
        arguments: dict[str, str] = {}
        for number, step in enumerate(steps):
            self._say(f"{stage}: {step.name} {step.value[:100]}")
            values = arguments | image.env
            layer = self._work / "layers" / f"{stage}-{number}"
            match step.name:
                case "ARG":
                    arguments.update([_argument(step.value)])
                case "ENV":
                    image.env |= _pairs(step.value, values)
                case "LABEL":
                    image.labels |= _pairs(step.value, values)
                case "WORKDIR":
                    image.workdir = _expand(step.value, values)
                    with self.mounted(image, layer) as root:
                        _inside(root, image.workdir).mkdir(parents=True, exist_ok=True)
                case "USER":
                    image.user = step.value
                case "STOPSIGNAL":
                    image.stop_signal = step.value
                case "ENTRYPOINT":
                    image.entrypoint = json.loads(step.value)
                case "CMD":
                    image.cmd = json.loads(step.value)
                case "EXPOSE":
                    pass
                case "COPY":
                    self._copy(image, layer, shlex.split(_expand(step.value, values)))
                case "RUN":
                    self._run(image, layer, step, values)
                case _:
                    raise ValueError(f"line {step.line}: {step.name} is not understood")
        return image

    # --- layers -------------------------------------------------------------------------------------------

    def mounted(self, image: Image, layer: Path | None = None) -> _Mounted:
        """The image's file system in a folder; with `layer`, what is written becomes its newest layer."""
        if layer is not None:
            layer.mkdir(parents=True)
            mounted = _Mounted(self._work, image.layers, layer)
            image.layers.insert(0, layer)
            return mounted
        return _Mounted(self._work, image.layers, None)

    def _copy(self, image: Image, layer: Path, words: list[str]) -> None:
        origin = None
        if words[0].startswith("--from="):
            origin = self.build(words.pop(0).removeprefix("--from="))
        if words[0].startswith("--"):
            raise ValueError(f"COPY {words[0]} is not understood")
        *sources, target = words
        with self.mounted(image, layer) as root:
            place = _inside(root, os.path.join(image.workdir, target))  # noqa: PTH118 (target may be absolute)
            into = target.endswith("/") or len(sources) > 1
            if origin is not None:
                with self.mounted(origin) as other:
                    for source in sources:
                        self._place(_inside(other, source), place, into=into, goes=lambda _: True)
            else:
                for source in sources:
                    found = self._context / source
                    if not found.exists() or not (self._goes(found) or found.is_dir()):
                        raise ValueError(f"COPY {source}: not in the context")
                    self._place(found, place, into=into, goes=self._goes)

    def _place(self, source: Path, place: Path, *, into: bool, goes: Callable[[Path], bool]) -> None:
        if source.is_dir():

            def left_out(folder: str, names: list[str]) -> list[str]:
                return [n for n in names if not goes(Path(folder) / n)]

            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=left_out)
            return
        target = place / source.name if into else place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)

    def _run(self, image: Image, layer: Path, step: Instruction, values: Mapping[str, str]) -> None:
        command, secrets = step.value, []
        while found := _SECRET.match(command):
            secrets.append((found["id"], found["target"]))
            command = command[found.end() :]
        if command.startswith(("--", "[")):
            raise ValueError(f"line {step.line}: this form of RUN is not understood")
        with self.mounted(image, layer) as root, root.system(), root.secrets(self._given(secrets)):
            subprocess.run(
                [
                    "/usr/sbin/chroot", f"--userspec={image.user}", root,
                    "/bin/sh", "-c", f"cd {image.workdir} && {command}",
                ],
                env={"HOME": "/root", **values}, stdin=subprocess.DEVNULL, check=True,
            )  # fmt: skip

    def _given(self, wanted: list[tuple[str, str]]) -> Iterator[tuple[Path, str]]:
        for name, target in wanted:
            if name in self._secrets:
                yield self._secrets[name], target


class _Mounted:
    """Layers as one file system for as long as the context lasts."""

    def __init__(self, work: Path, layers: list[Path], upper: Path | None) -> None:
        self._work, self._layers, self._upper = work, list(layers), upper
        self._mounts: list[Path] = []

    def __enter__(self) -> _Root:
        number = len(list(self._work.glob("mount-*")))
        self.root = _Root(self._work / f"mount-{number}")
        self.root.mkdir()
        lower = ":".join(map(str, self._layers or [self._empty()]))
        options = f"lowerdir={lower}"
        if self._upper is not None:
            spare = self._work / f"spare-{number}"
            spare.mkdir()
            options += f",upperdir={self._upper},workdir={spare}"
        elif len(self._layers) == 1:
            options += f":{self._empty()}"  # overlayfs wants two when it may not write
        _mount("-t", "overlay", "overlay", "-o", options, self.root)
        return self.root

    def _empty(self) -> Path:
        empty = self._work / "empty"
        empty.mkdir(exist_ok=True)
        return empty

    def __exit__(self, *_: object) -> None:
        subprocess.run(["/usr/bin/umount", "--lazy", self.root], check=True)


class _Root(type(Path())):  # type: ignore[misc]
    """The folder in which an image is mounted."""

    def system(self) -> _Binds:
        """What an engine gives each step: /proc, devices, the way to find other hosts."""
        return _Binds(
            [(Path("/proc"), _inside(self, "/proc")), (Path("/dev"), _inside(self, "/dev"))]
            + [(Path(p), _inside(self, p)) for p in ("/etc/resolv.conf", "/etc/hosts") if Path(p).exists()]
        )

    def secrets(self, given: Iterator[tuple[Path, str]]) -> _Binds:
        return _Binds([(source, _inside(self, target)) for source, target in given])


class _Binds:
    """Bind mounts for as long as the context lasts; a file that was made to mount on goes again."""

    def __init__(self, binds: list[tuple[Path, Path]]) -> None:
        self._binds = binds
        self._made: list[Path] = []

    def __enter__(self) -> None:
        for source, target in self._binds:
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.mkdir() if source.is_dir() else target.touch()
                self._made.append(target)
            _mount("--bind", source, target)

    def __exit__(self, *_: object) -> None:
        for _source, target in reversed(self._binds):
            subprocess.run(["umount", "--lazy", target], check=True)
        for target in self._made:
            target.rmdir() if target.is_dir() else target.unlink()


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _argument(value: str) -> tuple[str, str]:
    name, _, default = value.partition("=")
    return name, default


def _pairs(value: str, values: Mapping[str, str]) -> dict[str, str]:
    return dict(_argument(_expand(word, values)) for word in shlex.split(value))


def _expand(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in values:
            raise ValueError(f"${name} has no value")
        return values[name]

    return _VARIABLE.sub(value, text)
