"""Facts of the exchange: sessions, tick sizes, daily price limits."""
