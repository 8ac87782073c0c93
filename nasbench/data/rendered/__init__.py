"""The rendered dataset: scenes drawn with integers, with exact masks, parts, boxes and interventions."""

from nasbench.data.rendered.compose import KINDS, SPLITS, scene
from nasbench.data.rendered.dataset import RenderedDataset
from nasbench.data.rendered.levels import DEFAULT_DIFFICULTY, LEVELS
from nasbench.data.rendered.objects import CLASSES
from nasbench.data.rendered.paint import Rendered, render
from nasbench.data.rendered.scene import Scene

__all__ = [
    "CLASSES",
    "DEFAULT_DIFFICULTY",
    "KINDS",
    "LEVELS",
    "SPLITS",
    "Rendered",
    "RenderedDataset",
    "Scene",
    "render",
    "scene",
]
