"""gogooku_kedro: the cross-section of Japanese stock returns with ATFT-GAT-FAN, as a Kedro project."""

import os

__version__ = "0.1.0"

# Nothing is sent anywhere: MLflow reports its use from the moment it is imported, unless it is told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

# numba, which xarray computes with, sets the threads of OpenMP for the whole process, those of torch too,
# to all cores there are. Who sets OMP_NUM_THREADS means all of them.
if os.environ.get("OMP_NUM_THREADS", "").isdecimal():
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
