"""Configuration files that cannot be read, or that nothing reads, as one sentence with the file and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, UnsupportedInterpolationType
from yaml import YAMLError
from yaml.error import MarkedYAMLError

from gogooku_kedro.params import PRESETS

KINDS = ("catalog", "credentials", "globals", "logging", "mlflow", "parameters")
SUFFIXES = (".yml", ".yaml", ".json")
LOCAL = "local"
"""The user's own settings, read after those of every environment."""
WITHOUT_LOCAL = (LOCAL, "test")
"""Environments that take no settings from there: what the tests find does not depend on whose machine it is."""


class ConfigFileError(click.ClickException, ValueError):
    """A file of the configuration that is not read as its author meant it; printed without a traceback."""


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which reads `local` over every environment and whose refusals name the file and the fix.

    A file with a misspelt name is refused, and so is an environment that is not there.

    Parameters may name a `preset`, whose values then lie directly under the place that names it: under `--params`
    and over every file when the command line does, under the environment's own keys and over `base` when a file does.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of a kind, such as `parameters`.

        Raises:
            ConfigFileError: A file cannot be read, or its name is nearly that of one which is.
        """
        if key == "parameters" and self._protocol == "file":
            unread = [sentence for folder in self._folders() for sentence in misnamed_files(folder)]
            if unread:
                raise ConfigFileError("\n".join(unread))
        given = key in self  # set by the caller, who then knows what it holds
        try:
            merged: dict[str, Any] = super().__getitem__(key)
            if key == "parameters" and not given and merged.get("preset") in PRESETS:
                merged = self._with_preset(merged["preset"])
        except MissingConfigException:
            raise
        except (YAMLError, OmegaConfBaseException, AttributeError, TypeError, ValueError, OSError) as error:
            problem = self._problem(key, error)
            if problem is None:
                raise
            raise ConfigFileError(problem) from None
        return merged

    def _with_preset(self, preset: str) -> dict[str, Any]:
        folder, folders = self._folder(PRESETS[preset]), self._folders()
        if not folder.is_dir():
            raise ConfigFileError(f"preset: {preset} reads {folder}, which is not there; copy it from the project")
        folders.insert(len(folders) if "preset" in (self.runtime_params or {}) else 1, folder)
        layers = [  # each with --params over it
            self.load_and_merge_dir_config(str(each), self.config_patterns["parameters"], "parameters", set())
            for each in dict.fromkeys(folders)
        ]
        merged: dict[str, Any] = OmegaConf.to_container(OmegaConf.merge(*layers))  # type: ignore[assignment]
        return merged

    def _folders(self) -> list[Path]:
        """Folders that are read, the later ones over the earlier."""
        environment = self.env or self.default_run_env
        last = () if environment in WITHOUT_LOCAL else (LOCAL,)
        named = dict.fromkeys((self.base_env, environment, *last))
        return [folder for folder in map(self._folder, named) if folder.name != LOCAL or folder.is_dir()]

    def _folder(self, environment: str) -> Path:
        return Path(self._get_conf_env_path(environment))

    def _read_raw_config(self, key: str) -> Any:
        if self._protocol != "file":
            return super()._read_raw_config(key)
        problem = unknown_environment(Path(self.conf_source), self.env)
        if problem is not None:
            raise ConfigFileError(problem)
        if not self.env and not self._folder(self.default_run_env).is_dir():
            self.default_run_env = self.base_env  # a checkout without conf/local
        return super()._read_raw_config(key)

    def _resolve_from_raw_config(self, key: str, *raw: Any) -> dict[str, Any]:
        merged: dict[str, Any] = super()._resolve_from_raw_config(key, *raw)
        local, environment = self._folder(LOCAL), self.env or self.default_run_env
        if self._protocol != "file" or environment in WITHOUT_LOCAL or not local.is_dir():
            return merged
        patterns, of_environment = [*self.config_patterns[key]], key == "credentials"
        own = self.load_and_merge_dir_config(str(local), patterns, key, set(), of_environment)
        merged = self._merge_configs(merged, own, key, str(local))
        return merged

    def _problem(self, key: str, error: Exception) -> str | None:
        """The sentence for an error, None when no file explains it."""
        patterns = self.config_patterns[key]
        presets = [Path(self._get_conf_env_path(name)) for name in PRESETS.values()] if key == "parameters" else []
        paths = [path for folder in [*self._folders(), *presets] for path in _matching(folder, patterns)]
        for path in paths:
            problem = file_problem(path)
            if problem is not None:
                return problem
        if isinstance(error, OmegaConfBaseException):
            return _interpolation_problem(paths, error)
        return str(error) if str(error).startswith("Duplicate keys") else None


def unknown_environment(conf: Path, name: str | None) -> str | None:
    """Return why there is no environment of this name in a folder of configuration, None where there is."""
    if not conf.is_dir():
        return f"{conf}: no such folder; --conf-source names one like conf/ of this project"
    if not name or name == LOCAL or (conf / name).is_dir():
        return None
    there = sorted(folder.name for folder in conf.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    near = "".join(f"did you mean {match!r}? " for match in get_close_matches(name, there, 1))
    return f"--env {name}: no such environment in {conf}; {near}There are {', '.join(there)}"


def file_problem(path: Path) -> str | None:
    """Return why a YAML file cannot be configuration, None when it can."""
    try:
        content = OmegaConf.load(path)
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save it in this encoding"
    except MarkedYAMLError as error:
        line = f"{path}, line {error.problem_mark.line + 1}" if error.problem_mark else str(path)
        twice = re.match(r"found duplicate key (.*)", error.problem or "")
        if twice:
            return f"{line}: the key {twice[1]!r} is written twice; keep one of them"
        return f"{line}: {error.problem}; correct the YAML there or in the line above"
    except (YAMLError, OSError) as error:
        return f"{path}: {str(error).splitlines()[0]}; write keys and values, such as `model:`"
    if not isinstance(content, DictConfig):
        return f"{path}: a list at the root; write keys and values there, such as `model:`"
    return None


def misnamed_files(folder: Path) -> list[str]:
    """Return a sentence for each file below a folder of the configuration whose name is nearly one that is read.

    Kedro reads by name, so that `paramters.yml` would be left out without a word.
    """
    problems = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES):
        inside = path.relative_to(folder)
        if any(part.startswith(tuple(KINDS)) for part in inside.parts) and path.suffix in SUFFIXES:
            continue
        first = re.split(r"[^A-Za-z]", path.stem)[0]
        near = get_close_matches(first.lower(), KINDS, 1, cutoff=0.75)
        if near and not inside.as_posix().startswith("."):
            name = near[0] + path.stem[len(first) :] + path.suffix.lower()
            problems.append(f"{path}: nothing reads a file of this name; rename it to {name}, or move it elsewhere")
    return problems


def _matching(folder: Path, patterns: list[str]) -> Iterator[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.suffix in SUFFIXES}
    yield from sorted(path for path in found if path.is_file())


def _interpolation_problem(paths: list[Path], error: OmegaConfBaseException) -> str:
    first, *_ = str(error).splitlines()
    setting = f"{error.full_key}: " if error.full_key else ""
    resolver = re.search(r"Unsupported interpolation type (\S+)", first)
    if isinstance(error, UnsupportedInterpolationType) and resolver:
        written = "${" + resolver[1] + ":"
        fix = "write ${runtime_params:data_root,data}, ${globals:key} or the value itself"
        return f"{_first_with(paths, written)}: {setting}the resolver {resolver[1]!r} is unknown; {fix}"
    written = "${" + (absent[1] if (absent := re.search(r"key '(.+)' not found", first)) else "")
    return f"{_first_with(paths, written)}: {setting}{first.rstrip('.')}; correct what stands in ${{...}}"


def _first_with(paths: list[Path], text: str) -> Path | str:
    return next((path for path in paths if text in path.read_text(encoding="utf-8")), "configuration")
