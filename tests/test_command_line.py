"""`--params` takes lists, mappings and quoted text."""

import click
import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli, run
from gogooku_kedro.command_line import read_params, with_lists


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("data_root=DIR", {"data_root": "DIR"}),
        ("training.seeds=[0,1], data_root = a/b=c ,", {"training": {"seeds": [0, 1]}, "data_root": "a/b=c"}),
        ("a=[[1,2],[3]],b={x: 1, y: [2, 3]}", {"a": [[1, 2], [3]], "b": {"x": 1, "y": [2, 3]}}),
        ('ohlcv_path="a, b].csv",c=null', {"ohlcv_path": "a, b].csv", "c": None}),
        ("ohlcv_path=prices[1.csv,c=true", {"ohlcv_path": "prices[1.csv", "c": True}),
        ("split.train_end=2021-06-30,x=1.5", {"split": {"train_end": "2021-06-30"}, "x": 1.5}),
        ("ablation.run=['on', off_2]", {"ablation": {"run": ["on", "off_2"]}}),
    ],
)
def test_a_value_is_yaml(text, settings):
    assert read_params(text) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training.seeds=[0,1", r"'\[0,1' has no closing \]; write lists as \[a,b\]"),
        ("data_root=DIR,seeds", "'seeds' is no key=value; write for example"),
        ("=3", "'=3' is no key=value"),
        ("a=[1,{2]}", "has no closing"),
    ],
)
def test_a_wrong_pair_is_named(text, words):
    with pytest.raises(ValueError, match=words):
        read_params(text)


def test_the_command_line_prints_one_line():
    result = CliRunner().invoke(cli, ["validate-config", "--params", "training.seeds=[0,1"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("Error: --params: '[0,1' has no closing ]")


def test_lists_reach_a_command_whose_params_were_split_at_every_comma():
    taken = []

    @click.command()
    @click.option("--params", default="", callback=lambda context, option, value: value.split(","))
    def command(params):
        taken.append(params)

    CliRunner().invoke(with_lists(command), ["--params", "a=[0,1]"])
    CliRunner().invoke(command, ["--params", "a=[0,1]"])
    assert taken == [{"a": [0, 1]}, ["a=[0", "1]"]]


def test_kedro_run_is_that_command():
    assert cli.commands["run"] is run
    (option,) = [option for option in run.params if option.name == "params"]
    assert option.process_value(click.Context(run), "training.seeds=[0,1]") == {"training": {"seeds": [0, 1]}}
