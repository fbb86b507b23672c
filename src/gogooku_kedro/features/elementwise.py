"""Elementwise functions that keep an array labelled, typed as such."""

import numpy as np
import xarray as xr


def log(x: xr.DataArray) -> xr.DataArray:
    """Return the natural logarithm of positive values, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.log, x.where(x > 0), dask="allowed")
    return result


def log1p(x: xr.DataArray) -> xr.DataArray:
    """Return log(1 + x) of values above -1, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.log1p, x.where(x > -1), dask="allowed")
    return result


def sqrt(x: xr.DataArray) -> xr.DataArray:
    """Return the square root of values from 0 up, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.sqrt, x.where(x >= 0), dask="allowed")
    return result
