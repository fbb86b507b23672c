"""Settings of the training: phases, seeds, weights of the loss."""

import pytest

from gogooku_kedro.params import TrainingParams
from tests.conftest import settings_of
from tests.test_params import problems


def phase(**changes) -> dict:
    """A phase of training that takes all epochs."""
    weights = [1.0, 1.0, 1.0, 1.0]
    written = {"name": "full", "epochs": None, "graph": True, "learning_rate_factor": 1.0}
    return written | {"horizon_weights": weights} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training__loss__mse_weight": 0, "training__loss__ic_weight": 0},
            "training.loss: mse_weight, ic_weight, pairwise_weight, listnet_weight, soft_rank_weight are all 0",
        ),
        (
            {"training__phases": [phase(epochs=3)]},
            "training.phases: every phase but the last has a number of epochs and the last has `epochs: "
            "null`; "
            "change ['full']",
        ),
        (
            {"training__phases": [phase(name="warm-up"), phase()]},
            "training.phases: every phase but the last has a number of epochs and the last has `epochs: "
            "null`; "
            "change ['warm-up']",
        ),
        (
            {"training__phases": [phase(epochs=8), phase()], "training__max_epochs": 8},
            "training.phases: 8 epochs before the last phase 'full' leave none of training.max_epochs (8)",
        ),
        ({"training__phases": []}, "training.phases: [] has no phase; write one with `epochs: null`"),
        (
            {"training__phases": [phase(graph=False)]},
            "training.phases: the last phase 'full' has graph: false, so the model that is kept",
        ),
        (
            {"training__phases": [phase(horizon_weights=[1, 1])]},
            "training.phases: phase 'full' has horizon_weights [1.0, 1.0]; write 4 numbers",
        ),
        (
            {"training__phases": [phase(horizon_weights=[0, 0, 0, 0])]},
            "training.phases: phase 'full' has horizon_weights",
        ),
        (
            {"training__phases": [phase(grap=True)]},
            "training.phases.0.grap: unknown key; did you mean 'graph'? The keys of training.phases.0 are name,",
        ),
        ({"training__seeds": [1, 1]}, "training.seeds: [1, 1] must be different numbers, none negative"),
        ({"training__seeds": [-1]}, "training.seeds: [-1] must be different numbers, none negative"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path_and_the_fix(changes, message):
    (problem,) = problems(**changes)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training__devices", 0),
        ("training__accumulate", 0),
        ("training__max_batches", 0),
        ("training__time_budget_minutes", 0),
        ("training__monitor_smoothing", 1.0),
        ("training__warmup_share", 0),
        ("training__keep_checkpoints", 0),
    ],
)
def test_a_value_out_of_range_is_named_with_its_path(path, value):
    (problem,) = problems(**{path: value})
    assert problem.startswith(path.replace("__", "."))
    assert " is not possible: " in problem


def test_an_epoch_belongs_to_the_phase_whose_epochs_hold_it():
    settings = settings_of()["training"] | {
        "phases": [phase(name="alone", epochs=2, graph=False), phase(name="peers", epochs=1), phase()]
    }
    training = TrainingParams.model_validate(settings)
    assert [training.phase_of(epoch).name for epoch in range(6)] == [
        *("alone", "alone", "peers", "full", "full", "full")
    ]


def test_the_members_are_the_seeds_or_the_seed():
    settings = settings_of()["training"]
    training = TrainingParams.model_validate(settings | {"seed": 7, "seeds": []})
    assert training.all_seeds() == (7,)
    assert TrainingParams.model_validate(settings | {"seeds": [3, 1]}).all_seeds() == (3, 1)
