"""Figures as files: one style, and the same bytes for the same figure."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A date or a version in a file would make others of the same figure differ.
_METADATA: Mapping[str, Mapping[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


@contextmanager
def figure_style(*, size: float = 8.5) -> Iterator[None]:
    """The settings under which a figure is drawn and written; `size` of its letters in points.

    Letters are paths: the picture is the same where the font is not installed.
    """
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "nasbench", "svg.fonttype": "path", "font.size": size}):
        yield


def figure_files(figure: Figure) -> dict[str, bytes]:
    """A figure as SVG and PNG, by suffix; to be called within `figure_style`."""
    found = {}
    for suffix, known in _METADATA.items():
        sink = io.BytesIO()
        figure.savefig(sink, format=suffix, dpi=150, metadata=dict(known))
        found[suffix] = sink.getvalue()
    return found
