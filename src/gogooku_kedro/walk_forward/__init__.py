"""Walk-forward: every fold a market of its own, fitted, trained and tested once."""
