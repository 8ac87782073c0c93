"""Faithfulness: remove what an explanation ranks, in its order, and watch the network's score."""

# Raised when results change for the same configuration.
SCHEMA = 2
