"""The rows of every command: long, one explicit schema, readable alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal["ok", "error", "skipped"]

ROW_SCHEMA = 2

# What the convention `match` says of a segmenter brought to a number of regions.
MET = "within max(1, 5 %)"
MISSED = "missed"


@dataclass(frozen=True)
class Row:
    """One metric of one image in one cell.

    Attributes:
        command: the command that made it.
        cell: digest of the cell's configuration.
        model, dataset, saliency, segmenter: the choice of each config group; empty where a command has none.
        config: JSON, the cell's configuration with digests in place of paths.
        sample: the sample's id.
        sample_digest: digest of the sample's content.
        label: the first class index, None where unknown.
        target: the class explained, None where none is.
        metric: the metric's name.
        value: the score; fractions in 0..1; None unless `status` is ok.
        curve: the curve behind the value, where there is one.
        n_regions: regions the consumer saw, None where segmentation failed.
        status: ok; error, something broke; skipped, the metric has no meaning here.
        reason: why not ok, one line; empty when ok.
        conventions: JSON, every convention behind the value.
    """

    command: str
    cell: str
    model: str
    dataset: str
    saliency: str
    segmenter: str
    config: str
    sample: str
    sample_digest: str
    label: int | None
    target: int | None
    metric: str
    value: float | None
    curve: list[float] | None
    n_regions: int | None
    status: Status
    reason: str
    conventions: str


def arrow_schema() -> pa.Schema:
    """The Arrow schema of a unit file."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    fields = [
        ("command", text), ("cell", text), ("model", text), ("dataset", text), ("saliency", text),
        ("segmenter", text), ("config", text), ("sample", pa.string()), ("sample_digest", pa.string()),
        ("label", pa.int32()), ("target", pa.int32()),
        ("metric", text), ("value", pa.float64()), ("curve", pa.list_(pa.float64())),
        ("n_regions", pa.int32()), ("status", text), ("reason", text), ("conventions", text),
    ]  # fmt: skip
    return pa.schema(fields, metadata={b"nasbench_rows": str(ROW_SCHEMA).encode()})


def encode_rows(rows: Sequence[Row]) -> bytes:
    """Rows as the bytes of a zstd Parquet file; equal rows give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=arrow_schema())
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
