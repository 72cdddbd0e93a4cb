"""Reads files out of a Qt resource file (.rcc), as gcompris packs its pictures."""

from __future__ import annotations

import struct
import zlib


def entries(data: bytes) -> dict[str, bytes]:
    """Every file of a .rcc by its path; format 1 to 3, plain, zlib or zstd."""
    if data[:4] != b"qres":
        raise ValueError("not a Qt resource file (its first bytes are not 'qres')")
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    size = 22 if version >= 2 else 14
    found: dict[str, bytes] = {}

    def name(at: int) -> str:
        (length,) = struct.unpack(">H", data[names + at : names + at + 2])
        return data[names + at + 6 : names + at + 6 + 2 * length].decode("utf-16-be")

    def walk(node: int, path: str) -> None:
        at = tree + node * size
        label, flags = struct.unpack(">IH", data[at : at + 6])
        if node:
            path = f"{path}/{name(label)}" if path else name(label)
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for child in range(first, first + count):
                walk(child, path)
            return
        (offset,) = struct.unpack(">I", data[at + 10 : at + 14])
        (length,) = struct.unpack(">I", data[blobs + offset : blobs + offset + 4])
        blob = data[blobs + offset + 4 : blobs + offset + 4 + length]
        if flags & 1:
            blob = zlib.decompress(blob[4:])
        elif flags & 4:
            import zstandard

            blob = zstandard.ZstdDecompressor().decompressobj().decompress(blob)
        found[path] = blob

    walk(0, "")
    return found
