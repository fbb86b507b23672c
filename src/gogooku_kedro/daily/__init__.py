"""The desk's morning: append the new session, score it, and publish a ranking, or say why there is none."""
