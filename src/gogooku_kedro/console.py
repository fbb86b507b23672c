"""What the console leaves out: remarks of plugins about code that is not ours, and tracebacks that tell nothing."""

import errno
import logging
import os
import warnings

from kedro.io import DatasetError

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


OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


def one_sentence(error: BaseException) -> str | None:
    """Return what an error says where that is all there is to know, None where a traceback is of use.

    That is a disk that cannot be written, and a dataset that refuses its file in one line.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OF_THE_DISK:
            return (
                f"{cause.filename or 'a file'}: {os.strerror(cause.errno)}; mend that, or give another --params "
                f"data_root=DIR, and run the same command again: what is finished is kept"
            )
        cause = cause.__cause__
    refused = isinstance(error, DatasetError) and "\n" not in str(error)
    return str(error) if refused else None
