"""The boxes of all contours of several foregrounds, by whatever in OpenCV is fastest and gives the same.

Boxes are `x0 y0 x1 y1` as the published protocol writes them, inclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench.localize.levels import Levels

Box = tuple[int, int, int, int]


class Found(NamedTuple):
    """The contours of one foreground.

    Attributes:
        pieces: boxes of outer contours, all that are not too small.
        holes: the same of the contours of holes.
        contours: how many there are of any size.
    """

    pieces: list[Box]
    holes: list[Box]
    contours: int


Finder = Callable[[NDArray[np.uint8], float], list[Found]]


def stacked(levels: Levels, wanted: Sequence[int]) -> NDArray[np.uint8]:
    """(m, H + 1, W) the wanted foregrounds, 1 or 0, each above an empty row."""
    height, width = levels.grey.shape
    stack = np.empty((len(wanted), height + 1, width), dtype=np.uint8)
    stack[:, -1] = 0
    lowest = levels.values[levels.steps[list(wanted)]].astype(np.uint8)
    np.greater_equal(levels.grey, lowest[:, None, None], out=stack[:, :-1].view(np.bool_))
    return stack


def by_contours(stack: NDArray[np.uint8], least: float) -> list[Found]:
    """The contours in each image of a stack (m, H + 1, W), and those boxes that have an area of `least`."""
    import cv2

    height, width = stack.shape[1] - 1, stack.shape[2]
    found = []
    for image in stack:
        contours, tree = cv2.findContours(image[:-1], cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        kinds: tuple[list[Box], list[Box]] = ([], [])
        for contour, parent in zip(contours, tree[0, :, 3].tolist() if contours else [], strict=True):
            x, y, w, h = cv2.boundingRect(contour)
            if (w + 1) * (h + 1) >= least:
                kinds[parent >= 0].append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
        found.append(Found(*kinds, len(contours)))
    return found


def by_runs(stack: NDArray[np.uint8], least: float) -> list[Found]:
    """The same from the linked runs of rows, for the whole stack at once.

    These contours turn the other way around holes, and lack the rows above and below them; around a hole of a
    single row they enclose nothing, but begin on the right.
    """
    import cv2

    count, pitch, width = stack.shape
    pieces: list[list[Box]] = [[] for _ in range(count)]
    holes: list[list[Box]] = [[] for _ in range(count)]
    contours = [0] * count
    for contour in cv2.findContoursLinkRuns(stack.reshape(-1, width))[0]:
        x, y, w, h = cv2.boundingRect(contour)
        i, y = divmod(y, pitch)
        contours[i] += 1
        if (w + 1) * (h + 3) < least:
            continue
        right = min(x + w, width - 1)
        turn = cv2.contourArea(contour, oriented=True)
        if turn < 0 or (turn == 0 and len(contour) == 2 and contour[0, 0, 0] > contour[1, 0, 0]):  # noqa: PLR2004
            holes[i].append((x, y - 1, right, min(y + h + 1, pitch - 2)))
        elif (w + 1) * (h + 1) >= least:
            pieces[i].append((x, y, right, min(y + h, pitch - 2)))
    return [Found(*level) for level in zip(pieces, holes, contours, strict=True)]


def by_components(stack: NDArray[np.uint8], least: float) -> list[Found]:
    """The same by connected components: the contour of a hole runs through the pixels around it."""
    import cv2

    corner = np.array([stack.shape[2], stack.shape[1] - 1])
    found = []
    for image in stack[:, :-1]:
        pieces = cv2.connectedComponentsWithStats(image, connectivity=8)[2][1:, :4].astype(np.int64)
        holes = cv2.connectedComponentsWithStats(1 - image, connectivity=4)[2][1:, :4].astype(np.int64)
        holes = holes[(holes[:, :2] > 0).all(axis=1) & (holes[:, :2] + holes[:, 2:] < corner).all(axis=1)]
        holes += (-1, -1, 2, 2)
        kinds = []
        for rects in (pieces, holes):
            large = rects[(rects[:, 2:] + 1).prod(axis=1) >= least]
            large[:, 2:] = np.minimum(large[:, :2] + large[:, 2:], corner - 1)
            kinds.append([(x0, y0, x1, y1) for x0, y0, x1, y1 in large.tolist()])
        found.append(Found(kinds[0], kinds[1], len(pieces) + len(holes)))
    return found


@cache
def fastest() -> Finder:
    """`by_runs` if it agrees with `by_contours`, as it should: OpenCV does not say how it draws these."""
    import cv2

    if not hasattr(cv2, "findContoursLinkRuns"):  # before 4.10
        return by_contours
    shares = np.array([0.3, 0.5, 0.6, 0.7, 0.9])[:, None, None]
    stack = (np.random.default_rng(0).random((5, 41, 40)) < shares).astype(np.uint8)
    stack[:, -1] = 0
    for found, wanted in zip(by_runs(stack, 0), by_contours(stack, 0), strict=True):
        if list(map(sorted, found[:2])) != list(map(sorted, wanted[:2])):
            return by_contours
    return by_runs
