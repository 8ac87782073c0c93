"""The images that regions help most and harm most, with the boxes drawn: `gallery.png` of `nasbench wsol`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nasbench.digest import digest_bytes
from nasbench.localize.boxes import IOU_GRID, MEAN_IOU
from nasbench.report.draw import heat, png_bytes
from nasbench.report.localisation import Stratum
from nasbench.report.localisation_tables import Localised
from nasbench.report.paired import bases
from nasbench.report.predicted import Drawn, predicted_boxes
from nasbench.run.gallery import Picture, Wanted
from nasbench.run.store import RunFolder

FILE = "gallery.png"
# Whose thresholds the boxes are found at.
_STRATUM = "all"
# Images of a cell that are shown of either kind, and cells.
_MOST, _CELLS = 4, 6
# Lines of the terminal about images left out.
_NOTES = 4
_COUNTED = np.array([delta in MEAN_IOU for delta in IOU_GRID])
# A box meets an IoU exactly where its sides are whole numbers; the last bit decides nothing.
_ROUNDING = 1e-9

Decisions = Mapping[tuple[str, int], NDArray[np.bool_]]
Pictures = Callable[[Sequence[Wanted]], Iterable[tuple[Wanted, Picture | str]]]


class Change(NamedTuple):
    """At how many of the IoUs .50 to .95 an image's box is right, without regions and with them."""

    sample: str
    target: int
    before: int
    after: int


@dataclass(frozen=True)
class Changes:
    """What regions change.

    Attributes:
        gains, losses: the images that change most, the largest change first; of equal ones those of lowest
            hash of their id.
        gained, lost: how many change.
        n: images that both cells have.
    """

    gains: tuple[Change, ...]
    losses: tuple[Change, ...]
    gained: int
    lost: int
    n: int


def changes(before: Decisions, after: Decisions, *, most: int = _MOST) -> Changes:
    """Which images change most, in IoUs .50 to .95 at which they are right.

    The decisions of a cell without regions and of one with them: by (sample, class), (J,) bool, one for each
    of `IOU_GRID`.
    """
    common = [
        Change(*key, int(before[key][_COUNTED].sum()), int(right[_COUNTED].sum()))
        for key, right in after.items()
        if key in before
    ]
    common.sort(key=lambda one: (digest_bytes(one.sample.encode()), one.sample, str(one.target)))
    gains = sorted((one for one in common if one.after > one.before), key=lambda one: one.before - one.after)
    losses = sorted((one for one in common if one.after < one.before), key=lambda one: one.after - one.before)
    return Changes(tuple(gains[:most]), tuple(losses[:most]), len(gains), len(losses), len(common))


def decisions(said: Localised, cell: int) -> Decisions:
    """A cell's decisions at the fitted thresholds, as `changes` takes them."""
    keys = Stratum.of(said.entries[cell].kept, _STRATUM).keys
    rows = zip(keys, said.scored[cell, _STRATUM].right, strict=True)
    return {(sample, target): right for (sample, target), right in rows if target is not None}


def write_gallery(said: Localised, folder: RunFolder, pictures: Pictures) -> tuple[Path | None, list[str]]:
    """Write the gallery, if there is anything to draw; where it is, and for the terminal what it lacks.

    `pictures` makes the pictures, for a report opens no data set. The same bytes for the same pictures.
    Raises OSError.
    """
    compared, notes = _compared(said)
    judged = {cell: decisions(said, cell) for pair in compared for cell in pair}
    found = {(cell, base): changes(judged[base], judged[cell]) for cell, base in compared}
    chosen = {pair: one for pair, one in found.items() if one.gains or one.losses}
    notes += _without(said, "no image gains or loses", [pair for pair in found if pair not in chosen])
    notes += _without(said, f"no more than {_CELLS} cells are drawn", [*chosen][_CELLS:])
    chosen = dict([*chosen.items()][:_CELLS])
    shown: dict[Wanted, _Shown] = {}
    left: dict[str, None] = {}
    for wanted, picture in pictures(_wanted(chosen)) if chosen else ():
        one = picture if isinstance(picture, str) else _shown(said, judged[wanted.cell], wanted, picture)
        if isinstance(one, _Shown):
            shown[wanted] = one
        else:
            left[f"without {wanted.sample}: {one}"] = None
    more = [f"without {len(left) - _NOTES} more images"] if len(left) > _NOTES else []
    lines = [f"gallery: {line}" for line in (*notes, *[*left][:_NOTES], *more)]
    if not shown:
        (folder.path / FILE).unlink(missing_ok=True)  # of a run of fewer images, say
        return None, lines
    sections = [_section(said, *pair, one, shown) for pair, one in chosen.items()]
    return folder.write_bytes(FILE, png_bytes(_sheet(sections, notes))), lines


def _compared(said: Localised) -> tuple[list[tuple[int, int]], list[str]]:
    """(cell, base) whose boxes can be drawn, and which cannot."""
    # Where every image failed, the report says so.
    pairs = [pair for pair in bases(said.cells).items() if said.entries[pair[1]].kept]
    nowhere = [pair for pair in pairs if said.entries[pair[1]].without_place]
    placed = [pair for pair in pairs if pair not in nowhere]
    drawn = [pair for pair in placed if said.cells[pair[0]].config["metric"]["space"] == "model"]
    elsewhere = [pair for pair in placed if pair not in drawn]
    return drawn, [
        *_without(said, "its map names no place, for regions to change", nowhere),
        *_without(said, "boxes are drawn with metric.space=model only", elsewhere),
    ]


def _without(said: Localised, reason: str, pairs: Sequence[tuple[int, int]]) -> list[str]:
    return [f"without {', '.join(said.labels[cell] for cell, _ in pairs)}: {reason}"] if pairs else []


def _wanted(chosen: Mapping[tuple[int, int], Changes]) -> list[Wanted]:
    asked = [
        Wanted(cell, change.sample, change.target)
        for pair, one in chosen.items()
        for change in (*one.gains, *one.losses)
        for cell in pair
    ]
    return list(dict.fromkeys(asked))


def _shown(said: Localised, judged: Decisions, wanted: Wanted, picture: Picture) -> _Shown | str:
    """A picture with its boxes; not those of a map that came out otherwise than the scored one."""
    drawn = predicted_boxes(
        said, wanted.cell, wanted.sample, wanted.target, picture.map, picture.image.shape[:2]
    )
    if drawn is None or not _agrees(drawn, judged[wanted.sample, wanted.target]):
        return "made again, the map gives another box than the scored one"
    return _Shown(picture.image, picture.map, drawn, picture.name)


def _agrees(drawn: Drawn, right: NDArray[np.bool_]) -> bool:
    reached = [np.array(IOU_GRID) <= drawn.iou + margin for margin in (-_ROUNDING, _ROUNDING)]
    return bool((reached[0] <= right).all() and (right <= reached[1]).all())


def _section(
    said: Localised, cell: int, base: int, found: Changes, shown: Mapping[Wanted, _Shown]
) -> _Section:
    def rows(kind: Sequence[Change]) -> list[_Row]:
        found = []
        for one in kind:
            before, after = (shown.get(Wanted(i, one.sample, one.target)) for i in (base, cell))
            if before is not None and after is not None:
                found.append(_Row(one, (before, after)))
        return found

    return _Section(found, (said.labels[base], said.labels[cell]), (rows(found.gains), rows(found.losses)))


@dataclass(frozen=True)
class _Shown:
    """A cell's picture of an image: (H, W, 3) uint8, the raw map, boxes in pixels, the class's name."""

    image: NDArray[np.uint8]
    map: NDArray[np.float32]
    drawn: Drawn
    name: str


class _Row(NamedTuple):
    """An image: what changes, and its pictures without regions and with them."""

    change: Change
    sides: tuple[_Shown, _Shown]


class _Section(NamedTuple):
    """A cell: what changes, the names of its base and its own, the rows of gains and those of losses."""

    found: Changes
    names: tuple[str, str]
    rows: tuple[list[_Row], list[_Row]]


# Pixels.
_TILE, _GAP, _MARGIN, _LINE = 224, 8, 24, 24
_BLOCK = 3 * _TILE + 2 * _GAP
_WIDTH = 2 * _BLOCK + 4 * _MARGIN
_HEADER = 4 * _LINE + 2 * _MARGIN
_ROW = 2 * _LINE + _TILE + _GAP
_DASH, _PERIOD = 9, 15
# Told apart by the colour-blind, on inferno too, which has no such blue (Okabe & Ito 2008); the truth is
# dashed and thin besides.
_TRUE, _FOUND, _EDGE, _INK, _FAINT = "#ffffff", "#56b4e9", "#000000", "#000000", "#555555"


def _sheet(sections: Sequence[_Section], notes: Sequence[str]) -> Image.Image:
    heights = [3 * _LINE + _MARGIN + _ROW * max(len(rows) for rows in one.rows) for one in sections]
    height = _HEADER + sum(heights) + _LINE * len(notes) + _MARGIN
    sheet = Image.new("RGB", (_WIDTH, height), "white")
    pen = ImageDraw.Draw(sheet)
    _draw_legend(sheet, pen)
    top = _HEADER
    for section, tall in zip(sections, heights, strict=True):
        _draw_section(sheet, pen, section, top)
        top += tall
    for i, note in enumerate(notes):
        _write(pen, (_MARGIN, top + i * _LINE), note, _WIDTH - 2 * _MARGIN, 15, ink=_FAINT)
    return sheet


def _draw_legend(sheet: Image.Image, pen: ImageDraw.ImageDraw) -> None:
    title = "What regions change: the images that gain most, and those that lose most"
    _write(pen, (_MARGIN, _MARGIN), title, _WIDTH - 2 * _MARGIN, 26, bold=True)
    top = _MARGIN + 2 * _LINE
    left = _MARGIN
    for text, draw in (
        ("ground truth (dashed white)", _draw_truth),
        ("box of the map (solid blue)", _draw_found),
    ):
        pen.rectangle((left, top - 6, left + 60, top + 26), fill="#777777")
        draw(pen, (left + 8, top, left + 53, top + 21))
        left = _write(pen, (left + 70, top), text, _WIDTH, 17) + 40
    ramp = np.tile(np.linspace(0, 1, 120, dtype=np.float32), (32, 1))
    sheet.paste(heat(np.full((32, 120, 3), 128, np.uint8), ramp, zoom=1), (left, top - 6))
    _write(pen, (left + 130, top), "map, lowest to highest value", _WIDTH, 17)
    said = (
        "Each box is at the threshold its map is judged at, among all images. A change is counted in the ten "
        "IoUs .50, .55, ... .95: at how many of them the box is right."
    )
    _write(pen, (_MARGIN, top + 2 * _LINE - 8), said, _WIDTH - 2 * _MARGIN, 15, ink=_FAINT)


def _draw_section(sheet: Image.Image, pen: ImageDraw.ImageDraw, section: _Section, top: int) -> None:
    found, names = section.found, section.names
    pen.line((_MARGIN, top, _WIDTH - _MARGIN, top), fill=_INK, width=2)
    _write(pen, (_MARGIN, top + 10), f"{names[1]}  against  {names[0]}", _WIDTH - 2 * _MARGIN, 22, bold=True)
    kinds = zip(("gains", "losses"), (found.gained, found.lost), section.rows, strict=True)
    for side, (kind, number, rows) in enumerate(kinds):
        left = _MARGIN + side * (_BLOCK + 2 * _MARGIN)
        text = f"{kind}: {number} of {found.n} images" + (f", the {_MOST} largest" if number > _MOST else "")
        _write(pen, (left, top + 2 * _LINE - 4), text, _BLOCK, 18, bold=True)
        for i, row in enumerate(rows):
            _draw_row(sheet, pen, row, names, (left, top + 3 * _LINE + i * _ROW))


def _draw_row(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, row: _Row, names: tuple[str, str], place: tuple[int, int]
) -> None:
    left, top = place
    change, first = row.change, row.sides[0]
    ious = f"right at {change.before} of 10 IoUs without regions, at {change.after} with"
    _write(pen, (left, top + 4), f"{change.sample}: {ious}", _BLOCK, 15, ink=_FAINT)
    words = [f"IoU {one.drawn.iou:.2f}  {name}" for one, name in zip(row.sides, names, strict=True)]
    tiles = [_with_truth(first, *_enlarged(first.image)), *(_with_boxes(one) for one in row.sides)]
    for i, (text, tile) in enumerate(zip((first.name, *words), tiles, strict=True)):
        corner = (left + i * (_TILE + _GAP), top + 2 * _LINE)
        _write(pen, (corner[0], top + _LINE), text, _TILE, 16)
        sheet.paste(tile, corner)


def _with_boxes(shown: _Shown) -> Image.Image:
    """The map over the image, with the boxes, as large as fits into a tile."""
    plain, scale = _enlarged(shown.image)
    picture = heat(np.asarray(plain), shown.map, zoom=1)
    if shown.drawn.box is not None:
        _draw_found(ImageDraw.Draw(picture), shown.drawn.box * scale)
    return _with_truth(shown, picture, scale)


def _with_truth(shown: _Shown, picture: Image.Image, scale: float) -> Image.Image:
    for box in shown.drawn.truth * scale:
        _draw_truth(ImageDraw.Draw(picture), box)
    return picture


def _enlarged(image: NDArray[np.uint8]) -> tuple[Image.Image, float]:
    """An image as large as fits into a tile, and how many times as large it is."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), scale


def _draw_found(pen: ImageDraw.ImageDraw, box: Sequence[float] | NDArray[np.float64]) -> None:
    """A box, half-open: a solid line of four pixels inside it, with dark edges."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    for inset, ink in enumerate((_EDGE, _FOUND, _FOUND, _FOUND, _EDGE)):
        if x1 - x0 > 2 * inset and y1 - y0 > 2 * inset:
            pen.rectangle((x0 + inset, y0 + inset, x1 - 1 - inset, y1 - 1 - inset), outline=ink)


def _draw_truth(pen: ImageDraw.ImageDraw, box: Sequence[float] | NDArray[np.float64]) -> None:
    """A box, half-open: thin dashes with dark edges, between which a box in the same place shows."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    across = [(x, y, min(x + _DASH, x1) - 1, y + 3) for y in (y0, y1 - 4) for x in range(x0, x1, _PERIOD)]
    down = [(x, y, x + 3, min(y + _DASH, y1) - 1) for x in (x0, x1 - 4) for y in range(y0, y1, _PERIOD)]
    for dash in (*across, *down):
        pen.rectangle(dash, fill=_TRUE, outline=_EDGE)


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    width: int,
    size: int,
    *,
    bold: bool = False,
    ink: str = _INK,
) -> int:
    """A line cut to a width in pixels; where it ends. In matplotlib's own font: Pillow's is ASCII only."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)
    text = " ".join(text.splitlines())
    while len(text) > 1 and pen.textlength(text, font=font) > width:
        text = f"{text[:-2]}…"
    pen.text(place, text, fill=ink, font=font)
    return place[0] + round(pen.textlength(text, font=font))
