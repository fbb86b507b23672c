"""Pipelines: thin adapters between the catalog and the library, one folder a stage."""
