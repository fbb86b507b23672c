"""Tuning: which settings rank best, measured within the training part."""
