"""Datasets, objectives, the loop and evaluation: makes the weights that the service serves."""
