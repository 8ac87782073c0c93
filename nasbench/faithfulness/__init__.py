"""Faithfulness: remove what an explanation ranks, in its order, and watch the network's score."""
