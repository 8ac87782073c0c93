"""Localisation: from saliency maps to boxes, from boxes to decisions, from decisions to fair thresholds.

Two protocols that never share a number: `choe` reproduces the published one bit for bit, `exact` looks at
every level of the map. Everything here is arithmetic on arrays; nothing knows of a model or a data set.
"""

from nasbench.localize.choe import choe_boxes, choe_decisions

__all__ = ["SCHEMA", "choe_boxes", "choe_decisions"]

SCHEMA = 2
