"""Arithmetic on (date, code) arrays: trailing windows, cross-sections, groups."""
