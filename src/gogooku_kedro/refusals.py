"""A refused run prints its sentence alone; a fault in the code prints where it is."""

from __future__ import annotations

import dis
import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import click
from kedro.io import DatasetError

_PACKAGE = __name__.partition(".")[0]
_SPEAKERS = (f"{_PACKAGE}.", "kedro.framework.", "kedro.pipeline.pipeline")  # whose sentences are for the user
_RAISE = dis.opmap["RAISE_VARARGS"]
_STATED = (ValueError, RuntimeError, OSError, DatasetError)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO)
_FAILURES = ("kedro.pipeline.node", *(f"kedro.runner.{kind}_runner" for kind in ("sequential", "thread", "parallel")))


@contextmanager
def refusals_alone(verbose: bool = False) -> Iterator[None]:
    """Turn a refusal inside the block into a `click.ClickException` of its sentence.

    What Kedro logs of the node that failed, and its advice on how to go on from there, is held back
    and shown with the traceback of errors that are no refusals.

    Args:
        verbose: Leave every error and line as it is; so does logging at DEBUG.

    Raises:
        click.ClickException: The block refused.
    """
    if verbose or any(logging.getLogger(name).isEnabledFor(logging.DEBUG) for name in (_PACKAGE, "kedro")):
        yield
        return
    held = _Held()
    loggers = [logging.getLogger(name) for name in _FAILURES]
    for logger in loggers:
        logger.addFilter(held)
    sentence = None
    try:
        yield
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None or isinstance(error, click.ClickException):
            raise
        raise click.ClickException(sentence) from error
    finally:
        for logger in loggers:
            logger.removeFilter(held)
        for record in held.records if sentence is None else ():
            logging.getLogger(record.name).handle(record)


def sentence_of(error: BaseException) -> str | None:
    """Return what to print of a refusal, None for a fault whose traceback is needed.

    A refusal is raised by a `raise` of this package (or by Kedro, of what the command line names), with a
    sentence for the user: an operation that fails inside numpy, pandas or torch is none. Kedro passes one
    on in an error of the catalog. A full disk or a file that may not be written is no fault of the code
    either.
    """
    if isinstance(error, click.ClickException):
        return error.message
    full = _of_the_disk(error)
    if full is not None:
        return (
            f"{full.filename or 'a file'}: {os.strerror(full.errno or 0)}; mend that, or give another --params "
            f"data_root=DIR, and run the same command again: what is finished is kept"
        )
    if isinstance(error, DatasetError) and not _raised_here(error):
        told = error.__cause__ is None or sentence_of(error.__cause__) is not None
        return str(error) if told else None
    return str(error) if isinstance(error, _STATED) and _raised_here(error) else None


def _of_the_disk(error: BaseException | None) -> OSError | None:
    """The error of a disk that cannot be written, itself or behind those that pass it on."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            return error
        error = error.__cause__
    return None


def _raised_here(error: BaseException) -> bool:
    """Whether a `raise` there made the error; an expression that fails there has no such instruction."""
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not last.tb_frame.f_globals.get("__name__", "").startswith(_SPEAKERS):
        return False
    return last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE


class _Held(logging.Filter):
    """Keeps the warnings and errors of a logger back."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a warning or an error of a failing run; let the rest pass."""
        held = record.levelno >= logging.ERROR or record.funcName == "_suggest_resume_scenario"
        if held:
            self.records.append(record)
        return not held
