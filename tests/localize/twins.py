"""The slow, obvious twins: one threshold after the other, one pixel set after the other."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage


def published_boxes_at(score_map, threshold, contours="largest"):
    """All boxes of the published procedure at one threshold, (n, 4) `x0 y0 x1 y1`."""
    height, width = score_map.shape
    grey = (score_map * 255).astype(np.uint8)
    level = int(threshold * np.max(grey))
    binary = cv2.threshold(grey, level, 255, cv2.THRESH_BINARY)[1]
    found, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if len(found) == 0:
        return np.array([[0, 0, 0, 0]])
    if contours == "largest":
        found = [max(found, key=cv2.contourArea)]
    boxes = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    return np.array(boxes)


def published_boxes(score_map, thresholds):
    return np.concatenate([published_boxes_at(score_map, t) for t in thresholds])


def published_decisions(score_map, gt_boxes, thresholds, contours="largest", iou=(0.3, 0.5, 0.7)):
    right = []
    for threshold in thresholds:
        boxes = published_boxes_at(score_map, threshold, contours)
        best = max(inclusive_iou(a, b) for a in boxes for b in gt_boxes)
        right.append([best >= delta for delta in iou])
    return np.array(right, dtype=bool).reshape(len(thresholds), len(iou)).T


def inclusive_iou(a, b):
    """IoU of two boxes whose second corner is inside."""
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(w, 0) * max(h, 0)
    areas = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in (a, b)]
    return shared / (sum(areas) - shared)


def largest_component_box(score_map, level):
    """The half-open box of the largest 8-connected piece of {map >= level}; ties by mass, then top-left."""
    labels, count = ndimage.label(score_map >= level, structure=np.ones((3, 3)))
    if count == 0:
        return None
    low, high = float(score_map.min()), float(score_map.max())
    share = (score_map.astype(np.float64) - low) / ((high - low) or 1)
    fixed = np.rint(share * 2**36).astype(np.int64)  # whole numbers, so that no order of summing matters
    candidates = []
    for name in range(1, count + 1):
        ys, xs = np.nonzero(labels == name)
        mass = int(fixed[ys, xs].sum())
        first = min(zip(ys.tolist(), xs.tolist(), strict=True))
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        candidates.append((-len(ys), -mass, first, tuple(int(v) for v in box)))
    return min(candidates)[3]


def half_open_iou(a, b):
    """IoU of two half-open boxes."""
    w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    h = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return w * h / (sum(areas) - w * h)
