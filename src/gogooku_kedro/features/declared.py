"""The panel as a formula sees it: what the feature declared, and a refusal of everything else."""

from typing import Any, Self

import xarray as xr


class UndeclaredColumnError(ValueError):
    """A formula reads what its feature does not declare."""


class DeclaredPanel(xr.Dataset):  # type: ignore[no-untyped-call]  # of xarray, when the class is made
    """A panel without what a feature does not declare.

    xarray answers for a dimension without labels, such as a date that was not declared, with row numbers; here that
    is refused as any other column.
    """

    __slots__ = ("_feature",)

    @classmethod
    def of(cls, panel: xr.Dataset, needs: tuple[str, ...]) -> Self:
        """Take the variables and coordinates that `needs` names out of a panel."""
        data, coords = (
            {name: there[name].variable for name in there if name in needs} for there in (panel.data_vars, panel.coords)
        )
        return cls(data, coords).for_formula("")

    def for_formula(self, feature: str) -> Self:
        """Name the feature whose formula reads the panel next."""
        self._feature = feature
        return self

    def __getitem__(self, key: Any) -> Any:
        """Return a declared column.

        Raises:
            UndeclaredColumnError: The column is not declared.
        """
        if isinstance(key, str) and key not in self.variables:
            raise UndeclaredColumnError(
                f"feature {self._feature}: its formula reads '{key}', which the feature does not declare; "
                f"add '{key}' to its `needs`"
            )
        return super().__getitem__(key)
