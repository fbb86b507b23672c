"""Scores against labels: aligned, measured session by session, and with intervals."""
