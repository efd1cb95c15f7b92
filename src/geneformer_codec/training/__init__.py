"""Fit a model to a species."""
