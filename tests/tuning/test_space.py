"""What a space may hold, and the settings that its points make."""

import pytest
from pydantic import ValidationError

from gogooku_kedro.params.tuning import tunable
from gogooku_kedro.tuning.space import distributions, grid_points, space_problems
from tests.conftest import settings_of
from tests.tuning.conftest import SPACES, base_settings, tuning_params


def space(sampler="tpe", choices=None, ranges=None):
    return {"mine": {"sampler": sampler, "choices": choices or {}, "ranges": ranges or {}}}


def test_the_grid_of_the_base_is_heads_by_width_by_dropout():
    params = settings_of()["tuning"]
    assert params["spaces"]["grid"]["choices"] == {
        "model.gat.heads": [2, 4, 8],
        "model.hidden_size": [128, 256, 512],
        "model.dropout": [0.1, 0.2, 0.3],
    }
    points = grid_points(tuning_params(spaces=params["spaces"], space="grid").spaces["grid"], seed=0)
    assert len({repr(sorted(point.items())) for point in points}) == 27


def test_the_order_of_a_grid_follows_its_seed():
    small = tuning_params().spaces["small"]
    assert grid_points(small, 0) == grid_points(small, 0) != grid_points(small, 1)


@pytest.mark.parametrize("env", ["base", "gat_minimal", "gat_production", "ohlcv", "test"])
def test_the_grid_makes_settings_in_every_environment(env):
    assert space_problems(settings_of(env)) == []


def test_the_wide_space_makes_settings():
    assert space_problems(settings_of(tuning__space="wide")) == []


def test_a_point_changes_what_it_names_and_nothing_else():
    base = base_settings(tuning_params(seeds=[3]))
    found = base.at({"model.gat.heads": 2, "training.learning_rate": 0.5})
    assert (found.model.gat.heads, found.training.learning_rate) == (2, 0.5)
    assert found.training.seeds == (3,)
    same = found.at({"model.gat.heads": base.model.gat.heads, "training.learning_rate": base.training.learning_rate})
    assert same == base


def test_whole_numbers_are_drawn_for_whole_settings():
    ranges = {"model.hidden_size": {"low": 8, "high": 32, "scale": "log"}, **SPACES["free"]["ranges"]}
    drawn = distributions(tuning_params(spaces=space(ranges=ranges), space="mine").spaces["mine"])
    assert type(drawn["model.hidden_size"]).__name__ == "IntDistribution"
    assert type(drawn["training.learning_rate"]).__name__ == "FloatDistribution"


@pytest.mark.parametrize("name", ["training.seed", "training.checkpoint_dir", "model.quantiles", "training.phases"])
def test_what_changes_no_result_or_is_luck_or_a_list_cannot_be_tuned(name):
    assert name not in tunable()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (space(choices={"model.gat.haeds": [1]}), "'model.gat.haeds' is no setting that can be tuned; did you mean"),
        (space(choices={"training.seed": [1, 2]}), "training.seed tells trials apart by luck alone"),
        (space(choices={"graph.k": [5, 9]}), "Settings of model and training can; others change the data"),
        (space(choices={"model.dropout": [0.1, 0.1]}), "must hold a value at least, and none twice"),
        (space(choices={"model.dropout": []}), "must hold a value at least"),
        (space(), "there is nothing to choose"),
        (space("grid", ranges=SPACES["free"]["ranges"]), "grid has no values for the range of training.learning_rate"),
        (space(ranges={"model.gat.enabled": {"low": 0, "high": 1, "scale": "linear"}}), "the setting is no number"),
        (
            space(ranges={"model.dropout": {"low": 0.3, "high": 0.1, "scale": "linear"}}),
            "low 0.3 is not below high 0.1",
        ),
        (space(ranges={"model.dropout": {"low": 0.0, "high": 0.1, "scale": "log"}}), "0 with scale: log"),
        (space(ranges={"model.window": {"low": 8.5, "high": 16, "scale": "linear"}}), "of a whole number"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(written, says):
    with pytest.raises(ValidationError, match=r"tuning\.spaces\.mine") as refused:
        tuning_params(spaces=written, space="mine")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        (
            {"model.gat.heads": [2, 3], "model.hidden_size": [8]},
            "with model.gat.heads = 3, model.hidden_size = 8: model.gat.heads: 3 does not divide model.hidden_size",
        ),
        ({"model.gat.conv": ["gat", "gcn"]}, "with model.gat.conv = gcn: model.gat.conv: 'gcn' is not possible"),
        ({"training.learning_rate": [0.1, "0.2"]}, "training.learning_rate: '0.2' is not possible: write a number"),
    ],
)
def test_points_that_make_no_settings_are_named_before_anything_is_trained(choices, says):
    spaces = space("grid", choices=choices)
    (problem,) = space_problems(settings_of("test", tuning__spaces=spaces, tuning__space="mine"))
    assert problem.startswith("tuning.spaces.mine: ")
    assert says in problem
    assert "\n" not in problem
