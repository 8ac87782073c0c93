"""The data room: images and everything known about them, in, and views of them at model size, out.

A dataset is any object with the attributes and methods of `Dataset`; it turns ids into samples and converts
every foreign convention at the door, so that boxes are half-open and orientation is applied ever after. A new
reader is one file here plus one YAML in `configs/dataset`. The room imports NumPy, PIL and SciPy, no other
room, and never torch.
"""

from nasbench.data.order import run_order
from nasbench.data.sample import Dataset, Sample
from nasbench.data.view import View, ViewSpec, make_view

__all__ = ["SCHEMA", "Dataset", "Sample", "View", "ViewSpec", "make_view", "run_order"]

SCHEMA = 1
"""Part of every unit's key: raised when the same bytes come to mean another sample, view or order."""
