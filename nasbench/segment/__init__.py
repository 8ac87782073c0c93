"""Segmenters: from a batch of views, and the activations where they need them, to labelled regions.

A new segmenter is one class here that follows `nasbench.segment.base.Segmenter`, plus one YAML in
`configs/segmenter`; nothing else has to know of it.
"""

SCHEMA = 3
