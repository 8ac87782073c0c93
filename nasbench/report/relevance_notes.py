"""What a reader of relevance curves has to know: what the numbers are, and what of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from nasbench.faithfulness.areas import SMALL_GAP
from nasbench.report.localisation import RESAMPLES
from nasbench.report.relevance_scores import SMALL_GAPS, ScoredCell

# Those that are named, the most frequent ones.
_REASONS = 12
_SEPARATE = """Areas of different units have other random orders and other best ones: cells are ranked only
among those that remove the same, and across them only by what is measured from their own random orders."""
_AREAS = """Areas are mean scores while parts of the image are removed: the least relevant first (LeRF, higher
is better), the most relevant first (MoRF, lower is better), or at random. SRG is LeRF − MoRF, *over random*
LeRF − random. *Normalised* areas are in units of the gap between full and empty images."""
_PLACES = """*Percentile* is the share of all orders of the regions that are worse than the map's, least
relevant first, and .5 at random; *regret* is 1 for the best order, 0 for a random one; *tau* is the agreement
with the regions' Shapley values. Where there are too many regions, orders are *sampled*."""
_TO_FULL = """*To full* is (LeRF − random) / (full − random), the part of the way from the random order to
the untouched image, and *MoRF to empty* that to the image with all removed. Both ends are bounds; the best
order is known of a lattice only. *Over random* is larger where a random order leaves more room."""
_TEXT = {
    "curves": (
        "LeRF: mean score while the least relevant parts go first, higher is better",
        "MoRF: the most relevant first, lower is better; SRG: LeRF − MoRF; random: parts go at random",
    ),
    "lattice": (
        "percentile: share of all orders of the regions that are worse than the map's LeRF, .5 at random",
        "regret: 1 the best order, 0 a random one; tau: agreement with the regions' Shapley values",
    ),
}
_STAR = "* better than the second of the column: the 95 % interval of their paired difference excludes 0"


def about(kinds: AbstractSet[str], scores: AbstractSet[str], *, across: bool) -> str:
    """What the tables hold, in Markdown; `kinds` are of `curves` and `lattice`, `scores` what is watched."""
    watched = ", ".join(sorted(scores - {""}))
    parts = [f"Score of the class: {watched}."] if watched else []
    parts += [_AREAS] if "curves" in kinds else []
    parts += [_PLACES] if "lattice" in kinds else []
    parts.append(
        f"Brackets are 95 % bootstrap intervals over images ({RESAMPLES} resamples). Bold is the best of a\n"
        "column where its paired difference to the second has an interval that excludes 0; nothing is with\n"
        "fewer than six images."
    )
    parts += [_SEPARATE] if across else []
    parts += [_TO_FULL] if across and "curves" in kinds else []
    return "\n\n".join(parts)


def legend(kinds: AbstractSet[str], *, across: bool) -> Iterable[str]:
    """The same for the terminal, a line each."""
    for kind in sorted(kinds):
        yield from _TEXT[kind]
    if across and "curves" in kinds:
        yield "to full: (LeRF − random) / (full − random), full the untouched image; MoRF to empty likewise"
    yield _STAR
    if across:
        yield _SEPARATE


def notes_on(labels: Sequence[str], scored: Sequence[ScoredCell]) -> Iterable[str]:
    """Failures by reason first, then images that are in the numbers and say little, with their cells."""
    failures = [Counter(cell.images.reasons) for cell in scored]
    yield from _counted(labels, failures)
    yield from _counted(labels, [_lacking(cell) for cell in scored])
    yield from _counted(labels, [_remarks(cell) for cell in scored])


def _counted(labels: Sequence[str], counters: Sequence[Counter[str]]) -> Iterable[str]:
    found: dict[tuple[str, int], list[str]] = {}
    for label, counter in zip(labels, counters, strict=True):
        for text, count in sorted(counter.items()):
            found.setdefault((text, count), []).append(label)
    frequent = sorted(found, key=lambda one: (-one[1], one[0]))
    for text, count in frequent[:_REASONS]:
        cells = found[text, count]
        where = cells[0] if len(cells) == 1 else f"{cells[0]} and {len(cells) - 1} more"
        yield f"{where}: {count} × {text}"
    if len(frequent) > _REASONS:
        yield f"and {len(frequent) - _REASONS} other reasons, which the rows name"


def _lacking(cell: ScoredCell) -> Counter[str]:
    """Images that lack a measure, and no other, with the measures that lack for one reason together."""
    columns: dict[tuple[str, int], list[str]] = {}
    for (column, reason), count in cell.images.missing.items():
        columns.setdefault((reason, count), []).append(column)
    return Counter({f"no {', '.join(names)}: {reason}": n for (reason, n), names in columns.items()})


def _remarks(cell: ScoredCell) -> Counter[str]:
    images, found = cell.images, Counter[str]()
    if "correct" in images.values:
        found["the class is not the network's first guess; in the numbers like the others"] = int(
            (images.values["correct"] == 0).sum()
        )
    found["constant map: it ranks nothing, all goes at once"] = images.constant
    small = cell.numbers.get(SMALL_GAPS)
    if small is not None:
        found[f"|full − empty| below {SMALL_GAP:g}: the score hardly moves"] = int(small.value or 0)
    found["regions too many for all their orders, which are sampled"] = images.sampled
    return +found
