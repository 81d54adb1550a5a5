"""Which shared libraries a program needs, read from its ELF headers: no compiler, no `ldd`, nothing is run.

Owns: the few fields of ELF64 little-endian that name the loader, the libraries and the places to look.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_ELF64_LITTLE = b"\x7fELF\x02\x01"


@dataclass(frozen=True, slots=True)
class Elf:
    """What a program or library asks of the loader. `places` are its own search folders, $ORIGIN unresolved."""

    interpreter: str
    needed: tuple[str, ...]
    places: tuple[str, ...]


def read_elf(path: Path) -> Elf | None:
    """Read the headers; None for anything that is not a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    if len(data) < 64 or data[:6] != _ELF64_LITTLE:
        return None
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [_segment(data, table + size * index) for index in range(count)]
    interpreter = next((_text(data, at) for kind, at, _, _ in segments if kind == _PT_INTERP), "")
    dynamic = next(((at, length) for kind, at, _, length in segments if kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return Elf(interpreter, (), ())
    entries = list(struct.iter_unpack("<qQ", data[dynamic[0] : dynamic[0] + dynamic[1] // 16 * 16]))
    address = next((value for tag, value in entries if tag == _DT_STRTAB), 0)
    strings = next(
        (
            at + address - virtual
            for kind, at, virtual, length in segments
            if kind == _PT_LOAD and virtual <= address < virtual + length
        ),
        0,
    )
    needed = tuple(_text(data, strings + value) for tag, value in entries if tag == _DT_NEEDED)
    places = [_text(data, strings + value) for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
    return Elf(interpreter, needed, tuple(place for joined in places for place in joined.split(":") if place))


def _segment(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Kind, offset in the file, address in memory, length in the file."""
    kind, _flags, offset, virtual, _physical, length = struct.unpack_from("<IIQQQQ", data, at)
    return kind, offset, virtual, length


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
