import subprocess
import sys

import pytest

from gogooku_kedro import evaluation


@pytest.mark.parametrize("name", evaluation.__all__)
def test_every_public_name_is_a_documented_function_or_class(name: str) -> None:
    public = getattr(evaluation, name)
    assert public.__name__ == name
    assert public.__doc__


def test_importing_the_package_does_not_import_the_heavy_libraries() -> None:
    code = "import sys, gogooku_kedro.evaluation; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"lightgbm", "sklearn", "arch", "torch", "kedro"} & set(loaded)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sharp'"):
        evaluation.sharp  # noqa: B018
