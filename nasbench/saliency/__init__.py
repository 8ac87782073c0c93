"""Saliency methods: from a batch of views and a target class to raw maps.

A new method is one class that follows `nasbench.saliency.base.Saliency`, plus one YAML in
`configs/saliency`; nothing else has to know of it.
"""

SCHEMA = 1
