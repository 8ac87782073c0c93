"""Content digests: one hash for bytes, files and plain values everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_bytes(*chunks: bytes) -> str:
    """Hex digest (128 bits, BLAKE2b) of byte strings; each is framed by its length, so that splits matter."""
    h = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        h.update(len(chunk).to_bytes(8, "little"))
        h.update(chunk)
    return h.hexdigest()


def digest_file(path: Path) -> str:
    """Hex digest of a file's content. Raises OSError."""
    h = hashlib.blake2b(digest_size=16)
    with path.open("rb") as f:
        while chunk := f.read(1 << 20):
            h.update(chunk)
    return h.hexdigest()


def digest_value(value: Any) -> str:
    """Hex digest of a JSON-able value; mappings are compared by content, not by order."""
    return digest_bytes(canonical_json(value).encode())


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON-able value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
