"""What the console leaves out: remarks of plugins about code that is not ours, at every command."""

import logging
import warnings

REMARK = "Add type hints to the `predict` method"


def quieten() -> None:
    """Import kedro-mlflow without the remark that MLflow makes about it, and without its chatter.

    kedro-mlflow defines an MLflow model class without type hints, and MLflow insists on saying so at every
    command (it overrides warning filters); nothing in this project can change that class. Every other
    warning is shown. Kedro calls this before it loads its plugins (entry point `kedro.init`).
    """
    with warnings.catch_warnings(record=True) as caught:
        import kedro_mlflow.framework.cli.cli  # noqa: F401, PLC0415
    for warning in caught:
        if REMARK not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    for chatty in ("kedro_mlflow", "mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
