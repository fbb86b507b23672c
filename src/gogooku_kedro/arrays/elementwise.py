"""Elementwise functions that keep an array labelled, typed as such."""

import numpy as np
import xarray as xr


def log(x: xr.DataArray) -> xr.DataArray:
    """Return the natural logarithm of positive values, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.log, x.where(x > 0))
    return result


def log1p(x: xr.DataArray) -> xr.DataArray:
    """Return log(1 + x) of values above -1, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.log1p, x.where(x > -1))
    return result


def larger(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    """Return the larger of two values, the present one where the other is NaN."""
    result: xr.DataArray = xr.apply_ufunc(np.fmax, x, y)
    return result


def smaller(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    """Return the smaller of two values, the present one where the other is NaN."""
    result: xr.DataArray = xr.apply_ufunc(np.fmin, x, y)
    return result


def sign(x: xr.DataArray) -> xr.DataArray:
    """Return -1, 0 or 1, NaN where x is NaN."""
    result: xr.DataArray = xr.apply_ufunc(np.sign, x)
    return result


def sqrt(x: xr.DataArray) -> xr.DataArray:
    """Return the square root of values from 0 up, NaN elsewhere."""
    result: xr.DataArray = xr.apply_ufunc(np.sqrt, x.where(x >= 0))
    return result
