"""Portfolios that a score would hold: targets, fills, simulation, performance, tests of the Sharpe ratio."""
