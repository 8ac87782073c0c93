"""Saliency methods: from a batch of views and a target class to raw maps.

A new method is one class that follows `nasbench.saliency.base.Saliency`, its line in `registry.py`, and one
YAML in `configs/saliency`; a user's own needs no line.
"""

SCHEMA = 2
