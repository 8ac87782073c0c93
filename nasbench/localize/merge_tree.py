"""The pieces of all upper level sets of a map at once, each with its size, mass and box.

At level v the foreground is {m >= v} and falls into 8-connected pieces. As v falls, pieces begin at local
maxima, grow pixel by pixel, and merge at saddles. Three facts make all of it cheap:

- a pixel belongs to the piece of the local maximum that it reaches by always stepping to its highest
  neighbour, since no step leaves the foreground. This divides the map into basins, one per maximum;
- two basins are joined at the highest pair of neighbouring pixels across their border, the lower of the two
  counting; all other connections follow from these. So the merges are those of a maximum spanning tree of the
  graph of basins, which is small where the map is smooth;
- between two merges a piece takes in its pixels in falling order, so its size, mass and box are cumulative
  sums, minima and maxima.

Neighbours of equal value are ordered by place (the earlier in raster order is the higher), which splits a
plateau into basins that join at the plateau's own level: no piece is ever seen between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Mass is summed in whole numbers, this many parts of the map's range, so that equal masses are equal whatever
# the order of summing; 2**36 parts of up to 2**26 pixels fit 64 bits.
_PARTS = 2.0**36
_LARGE = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Growth:
    """What pieces become, pixel by pixel in falling order of the map.

    Row i belongs to the i-th highest pixel and describes its piece from just after it came in until the next
    pixel of the same piece does. Rows of pixels of one value are states in between, but for the last of each
    piece: only after all of a value are through do pieces mean something.

    Attributes:
        values: (N,) the pixels' values, falling.
        area: (N,) pixels in the piece.
        mass: (N,) sum of the map over the piece less its minimum, in whole parts of its range.
        first: (N,) the piece's first pixel in raster order.
        edges: (4, N) lowest x and y in the piece, and lowest −x and −y.
    """

    values: NDArray[np.floating]
    area: Ints
    mass: Ints
    first: Ints
    edges: Ints

    def boxes(self, rows: Ints) -> Ints:
        """Half-open boxes (n, 4) `x0 y0 x1 y1` around the pieces of these rows (n,)."""
        x0, y0, x1, y1 = self.edges[:, rows]
        return np.stack([x0, y0, 1 - x1, 1 - y1], axis=1)


def grow(score_map: NDArray[np.floating]) -> Growth:
    """The growth of all pieces of a finite map (H, W); O(N log N) whatever the number of levels."""
    flat = score_map.ravel()
    basin, maxima = _basins(score_map)
    parent, level = _merges(score_map, basin, maxima)
    node = _nodes(flat, basin.ravel(), parent, level)

    falling = np.argsort(-flat)
    rows = _stable_order(node[falling])  # by node, then falling
    pixels = falling[rows]
    tree = _Tree.of(parent, np.bincount(node, minlength=len(parent)))
    y, x = np.divmod(pixels, score_map.shape[1])
    grown = np.empty((7, len(flat)), dtype=np.int64)
    grown[0, rows] = tree.sum(np.ones_like(pixels))
    grown[1, rows] = tree.sum(_fixed_point(flat)[pixels])
    for i, place in enumerate((pixels, x, y, -x, -y), start=2):
        grown[i, rows] = tree.minimum(place)
    return Growth(flat[falling], grown[0], grown[1], grown[2], grown[3:])


def _basins(score_map: NDArray[np.floating]) -> tuple[Ints, Ints]:
    """The basin of every pixel (H, W), and the pixel of every basin's maximum (M,), as raster indices."""
    height, width = score_map.shape
    padded = np.pad(score_map, 1, constant_values=-np.inf)
    best = padded[:-2, :-2].copy()
    step = np.full(score_map.shape, -width - 1)
    # In raster order and only for something higher: of equal neighbours the first is kept.
    for dy, dx in ((0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)):
        other = padded[dy : dy + height, dx : dx + width]
        higher = other > best
        np.copyto(best, other, where=higher)
        np.copyto(step, (dy - 1) * width + dx - 1, where=higher)
    top = np.arange(height * width) + step.ravel()
    while not np.array_equal(top, further := top[top]):
        top = further
    maxima = np.flatnonzero(top == np.arange(len(top)))
    number = np.empty(len(top), dtype=np.int64)
    number[maxima] = np.arange(len(maxima))
    return number[top].reshape(height, width), maxima


def _merges(score_map: NDArray[np.floating], basin: Ints, maxima: Ints) -> tuple[Ints, NDArray[np.floating]]:
    """Parents (2M - 1,) and levels (2M - 1,) of the tree of M basins and M - 1 merges.

    Nodes 0 to M - 1 are the basins, a merge is numbered after what it merges, the last is its own parent. A
    node exists at the levels from its own down to, and without, its parent's.
    """
    count = len(maxima)
    heights, pairs = _borders(score_map, basin, count)
    parent = np.arange(2 * count - 1)
    level = np.empty(2 * count - 1, dtype=score_map.dtype)
    level[:count] = score_map.ravel()[maxima]
    union = list(range(count))
    piece = list(range(count))  # the node of a basin at the root of `union`
    made = count
    for height, pair in zip(heights.tolist(), pairs.tolist(), strict=True):
        a, b = divmod(pair, count)
        while union[a] != a:
            union[a] = a = union[union[a]]
        while union[b] != b:
            union[b] = b = union[union[b]]
        if a == b:
            continue
        parent[piece[a]] = parent[piece[b]] = made
        level[made] = height
        union[a] = b
        piece[b] = made
        made += 1
        if made == len(parent):
            break
    return parent, level


def _borders(score_map: NDArray[np.floating], basin: Ints, count: int) -> tuple[NDArray[np.floating], Ints]:
    """Pairs of adjacent basins (a · count + b), each once, by falling height of their highest connection."""
    heights, pairs = [], []
    rows, columns = slice(None), slice(None)
    left, right, up, down = slice(None, -1), slice(1, None), slice(None, -1), slice(1, None)
    for one, other in (
        ((rows, left), (rows, right)),
        ((up, columns), (down, columns)),
        ((up, left), (down, right)),
        ((up, right), (down, left)),
    ):
        a, b = basin[one], basin[other]
        apart = a != b
        a, b = a[apart], b[apart]
        pairs.append(np.minimum(a, b) * count + np.maximum(a, b))
        heights.append(np.minimum(score_map[one][apart], score_map[other][apart]))
    height, pair = np.concatenate(heights), np.concatenate(pairs)
    falling = np.argsort(-height)
    kept = falling[np.sort(_first_of_each(pair[falling]))]
    return height[kept], pair[kept]


def _first_of_each(keys: Ints) -> Ints:
    """The place at which each distinct key, not negative, occurs first."""
    bits = len(keys).bit_length()
    if int(keys.max(initial=0)).bit_length() + bits >= _LARGE.bit_length():
        places: Ints = np.unique(keys, return_index=True)[1]
        return places
    packed = np.sort((keys << bits) | np.arange(len(keys)))  # much faster than sorting indices
    new = np.append(True, np.diff(packed >> bits) > 0)[: len(packed)]
    first: Ints = packed[new] & ((1 << bits) - 1)
    return first


def _nodes(flat: NDArray[np.floating], basin: Ints, parent: Ints, level: NDArray[np.floating]) -> Ints:
    """(N,) the node whose piece every pixel joins at its own value: an ancestor of its basin."""
    leaps = [parent]  # leaps[i]: 2**i generations up
    while not np.array_equal(leaps[-1], further := leaps[-1][leaps[-1]]):
        leaps.append(further)
    node = basin
    for leap in reversed(leaps):
        ancestor = leap[node]
        node = np.where(level[ancestor] >= flat, ancestor, node)
    return node


@dataclass(frozen=True)
class _Tree:
    """Nodes in the order of their pixels, for sums and minima over all pixels that came into a piece before.

    Attributes:
        start, stop: (nodes,) each node's own pixels.
        group: (N,) the node of each pixel.
        place: (nodes,) each node's place in an order in which all nodes below it follow it directly.
        size: (nodes,) the number of these, with itself.
    """

    start: Ints
    stop: Ints
    group: Ints
    place: Ints
    size: Ints

    @classmethod
    def of(cls, parent: Ints, own: Ints) -> _Tree:
        """From parents (nodes,), children before parents and the root last, and pixels per node (nodes,)."""
        links = parent.tolist()
        size = [1] * len(links)
        for child, into in enumerate(links[:-1]):
            size[into] += size[child]
        place = [0] * len(links)
        free = [1] * len(links)
        for child in range(len(links) - 2, -1, -1):
            into = links[child]
            place[child] = place[into] + free[into]
            free[into] += size[child]
        stop = np.cumsum(own)
        return cls(stop - own, stop, np.repeat(np.arange(len(own)), own), np.array(place), np.array(size))

    def sum(self, values: Ints) -> Ints:
        """(N,) the sum of values (N,) over all pixels of the piece up to each."""
        total = np.append(0, np.cumsum(values))
        own = np.empty_like(self.start)
        own[self.place] = total[self.stop] - total[self.start]
        subtree = np.append(0, np.cumsum(own))
        below = subtree[self.place + self.size] - subtree[self.place + 1]
        found: Ints = total[1:] + (below - total[self.start])[self.group]
        return found

    def minimum(self, values: Ints) -> Ints:
        """(N,) the minimum of values (N,) over all pixels of the piece up to each."""
        # One running minimum for all nodes: each lies deeper than the one before by more than any value.
        depth = self.group * (2 * int(np.abs(values).max()) + 1)
        found = np.minimum.accumulate(values - depth) + depth
        own = np.full(len(self.start), _LARGE)
        filled = self.stop > self.start
        own[self.place[filled]] = found[self.stop[filled] - 1]
        below = _range_minimum(own, self.place + 1, self.place + self.size)
        return np.minimum(found, below[self.group])


def _range_minimum(values: Ints, start: Ints, stop: Ints) -> Ints:
    """(n,) the minima of values[start:stop]; the largest integer where that is empty."""
    found = np.full(len(start), _LARGE)
    length = stop - start
    table, reach = values, 1
    while reach <= length.max(initial=0):
        # Two overlapping ranges of a power of two cover each range.
        now = (length >= reach) & (length < 2 * reach)
        found[now] = np.minimum(table[start[now]], table[stop[now] - reach])
        table = np.minimum(table[: max(len(table) - reach, 0)], table[reach:])
        reach *= 2
    return found


def _fixed_point(flat: NDArray[np.floating]) -> Ints:
    """(N,) what each value adds to the mass: its height above the minimum, in whole parts of the range."""
    halves = flat.astype(np.float64) / 2  # so that no range is infinite
    low, high = halves.min(), halves.max()
    shares: NDArray[np.float64] = (halves - low) / ((high - low) or 1)
    return np.rint(shares * _PARTS).astype(np.int64)


def _stable_order(keys: Ints) -> Ints:
    """The stable order of whole numbers; those of 16 bits are sorted without comparing."""
    small = keys.astype(np.uint16) if keys.max() < 1 << 16 else keys
    order: Ints = np.argsort(small, kind="stable")
    return order
