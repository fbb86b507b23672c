"""J-Quants API V2: a client that keeps to its limits, a store of partitions, and the tables that a run reads."""
