"""Which keys an object store takes: the rule of `ObjectStore`, which every adapter holds to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice

from service.errors import StoreError

__all__ = ["check_key", "in_byte_order"]

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MAX_KEY = 512


def check_key(key: str) -> None:
    """Raises `StoreError` when `key` is no key."""
    if len(key) > _MAX_KEY or any(
        not _SEGMENT.fullmatch(segment) or segment in {".", ".."} for segment in key.split("/")
    ):
        raise StoreError(
            "a key must be segments of letters, digits, '.', '_' and '-' with '/' between",
            remedy="Mend the key.",
        )


def in_byte_order(
    keys: Iterable[str], prefix: str, exists: Callable[[str], bool], *, patience: int
) -> Iterator[str]:
    """`keys` that start with `prefix` and come folder by folder, in byte order.

    Such a store lists `a/…` before `a-b` and `a.b`, which sort before it. So a folder's keys are held back until the
    list has come to what is no longer a name of that kind; of a folder of more than `patience` keys it is asked
    whether there are any (`exists`, of a prefix), and when not, its keys are given as they come.
    """
    held: list[str] = []
    head = ""
    for name, group in groupby(keys, lambda key: key[len(prefix) :].partition("/")[0]):
        if held and not name.startswith((f"{head}-", f"{head}.")):
            yield from sorted(held)
            held = []
        head = head if held else name
        folder = f"{prefix}{name}/"
        rest = iter(group)
        first = list(islice(rest, patience))
        leaf = first[0] == f"{prefix}{name}"  # an object, and no folder
        if leaf or len(first) < patience or exists(f"{prefix}{name}-") or exists(f"{prefix}{name}."):
            held += [*first, *rest]
            continue
        yield from sorted(key for key in held if key < folder)
        held = [key for key in held if key > folder]
        yield from in_byte_order(chain(first, rest), folder, exists, patience=patience)
    yield from sorted(held)
