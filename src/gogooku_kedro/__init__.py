"""gogooku_kedro: the cross-section of Japanese stock returns with ATFT-GAT-FAN, as a Kedro project."""

__version__ = "0.1.0"
