"""The best trial as an environment of the configuration: what was run, with the settings that were found."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from gogooku_kedro.artifacts import digest, remove_folder
from gogooku_kedro.params import PRESETS, ModelParams, Section, TrainingParams, TuningParams
from gogooku_kedro.params.base import overlaid
from gogooku_kedro.tuning.space import Settings

logger = logging.getLogger(__name__)

PARAMETERS = "parameters.yml"
MARK = "# Written by `kedro run --pipelines=tuning`: "
SEAL = "# Content, so that a file that was edited is not overwritten: "


def check_target(folder: Path) -> None:
    """Refuse a folder that `write_environment` would overwrite though something else wrote it, or edited it.

    Raises:
        ValueError: It is one; the message names the fix.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    written = folder / PARAMETERS
    text = written.read_text(encoding="utf-8") if written.is_file() else ""
    if not text.startswith(MARK) or _seal(folder) != text.splitlines()[1].removeprefix(SEAL):
        raise ValueError(
            f"tuning.export_to: {folder} is there, and the tuning did not write it as it is; name another folder, "
            f"remove that one, or write null"
        )


def tuned_parameters(
    found: Mapping[str, Any], params: TuningParams, model: ModelParams, training: TrainingParams
) -> str:
    """Return the parameters of the best trial of a study, and write them where `tuning.export_to` says.

    Args:
        found: From `summary.summarise`, with the `run` and the `study`.
        params: Section `tuning`.
        model: Section `model`.
        training: Section `training`; its seeds are kept.

    Raises:
        ValueError: No trial finished, or as `check_target`.
    """
    best = found["best"]
    if best is None:
        raise ValueError(
            "tuning: no trial of the study finished, so there is no best one; see the log for what diverged, and lower "
            "training.learning_rate or its range"
        )
    words = f"trial {best['trial']} of {found['study']}, {found['objective']} {best['value']:+.4f} on its folds."
    settings, run = Settings(model, training).at(best["settings"]), found["run"]
    if params.export_to is None:
        return _text(words, _changed(settings), "")
    return write_environment(Path(params.export_to), settings, words, run["environment"], run["preset"])


def write_environment(folder: Path, best: Settings, words: str, environment: str, preset: str) -> str:
    """Write an environment that has the settings of the best trial, and return its `parameters.yml`.

    It is the environment of the run, where that lies beside it, with the whole sections `model` and `training` of the
    trial; changes of other sections by `--params` are not in it.

    Args:
        folder: Of the environment, `conf/NAME`; made, or made anew.
        best: Settings of the trial, with the seeds of the run.
        words: What the trial reached, for the first line.
        environment: Name of the environment of the run.
        preset: Its `--params preset`, or none.

    Raises:
        ValueError: As `check_target`.
    """
    check_target(folder)
    conf, parameters = folder.parent, dict[str, Any]()
    if not (conf / environment).is_dir() and environment != "base":
        logger.info("%s has the sections model and training alone: %s is not beside it", folder, environment)
    for name in ([] if environment == "base" else [environment]) + ([PRESETS[preset]] if preset in PRESETS else []):
        parameters = overlaid(parameters, _parameters(conf / name))
    parameters = overlaid(parameters, _changed(best))
    unfinished = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    if environment != "base":
        for path in (path for path in (conf / environment).glob("*") if not path.name.startswith("parameters")):
            copied = shutil.copytree if path.is_dir() else shutil.copy2
            copied(path, unfinished / path.name)
    (unfinished / PARAMETERS).write_text(_text(words, parameters, ""), encoding="utf-8")
    whole = _text(words, parameters, _seal(unfinished))
    (unfinished / PARAMETERS).write_text(whole, encoding="utf-8")
    if folder.exists():
        remove_folder(folder)
    unfinished.replace(folder)
    return whole


def _text(words: str, parameters: Mapping[str, Any], seal: str) -> str:
    body = yaml.safe_dump(dict(parameters), sort_keys=False, allow_unicode=True, width=110)
    return f"{MARK}{words}\n{SEAL}{seal}\n{body}"


def _changed(best: Settings) -> dict[str, Any]:
    return {"model": _written(best.model), "training": _written(best.training)}


def _written(section: Section) -> dict[str, Any]:
    """All settings of a section that change a result, as YAML has them."""
    return {name: value for name, value in section.model_dump(mode="json").items() if name in section.result_fields()}


def _parameters(folder: Path) -> Mapping[str, Any]:
    """What the files of an environment write, its `${...}` left as they are."""
    merged: Any = {}
    for path in sorted(folder.glob("parameters*.yml")):
        merged = overlaid(merged, OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    return dict(merged)


def _seal(folder: Path) -> str:
    """The content of all files; of the parameters what follows the seal."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    content = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return digest(content | {PARAMETERS: content[PARAMETERS].split("\n", 2)[2]})
