"""Labels: forward returns, their residual, what is ranked, and the split by date."""
