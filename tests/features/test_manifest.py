import pytest

from gogooku_kedro.features import (
    FAMILIES,
    FEATURES,
    compute_features,
    feature_manifest,
    market_columns,
    without,
)
from gogooku_kedro.features.manifest import first_session, warmup

SETTINGS = {"normalisation": "gaussian_rank", "normalisation_of": {}, "sector_neutral": (), "clip": 8.0}
CHOSEN = ["returns", "volume", "regime"]


def manifest_of(panel, families=CHOSEN, **settings):
    return feature_manifest(panel, families, **(SETTINGS | settings))


def test_the_manifest_describes_the_columns_in_order(panel):
    manifest, raw = manifest_of(panel), compute_features(panel, CHOSEN)
    assert [entry["name"] for entry in manifest["features"]] == list(raw.data_vars)
    assert manifest["n_features"] == len(raw.data_vars)
    assert manifest["n_market"] == len(FAMILIES["regime"])
    assert manifest["columns"][:2] == ["return_1d_rank", "return_2d_rank"]
    assert manifest["columns"][-3:] == ["missing_returns", "missing_volume", "missing_regime"]
    assert manifest["warmup"] == 250
    assert manifest["families"] == CHOSEN
    assert manifest["dropped"] == {}
    assert len(manifest["channels"]) == 5
    first = manifest["features"][0]
    assert first["formula"] == "close[t] / close[t-1] - 1"
    assert first["source"] == "Jegadeesh, Titman (1993)"


def test_market_columns_are_those_with_one_value_per_date_and_no_masks(panel):
    columns = market_columns(manifest_of(panel))
    assert len(columns) == len(FAMILIES["regime"])
    assert columns[0] == "index_return_1d_past_z"
    assert not [name for name in columns if name.startswith("missing_")]


def test_raw_and_normalised_features_never_share_a_name(panel):
    for method in ("gaussian_rank", "robust_z"):
        for neutral in ((), ("returns", "volume")):
            columns = manifest_of(panel, normalisation=method, sector_neutral=neutral)["columns"]
            assert not set(columns) & set(FEATURES)
            assert len(set(columns)) == len(columns)


def test_a_family_may_have_its_own_normalisation(panel):
    manifest = manifest_of(panel, normalisation_of={"volume": "robust_z"}, sector_neutral=("volume",))
    column = {entry["name"]: entry["column"] for entry in manifest["features"]}
    assert column["return_5d"] == "return_5d_rank"
    assert column["volume_z_20d"] == "volume_z_20d_sector_z"
    assert column["index_return_5d"] == "index_return_5d_past_z"


def test_the_hash_knows_columns_order_look_back_and_clip(panel):
    base = manifest_of(panel)
    others = [
        manifest_of(panel, CHOSEN[::-1]),
        manifest_of(panel, normalisation="robust_z"),
        manifest_of(panel, sector_neutral=("returns",)),
        manifest_of(panel, clip=5.0),
        without(base, {"return_1d": "for the test"}),
    ]
    assert len({base["hash"], *(other["hash"] for other in others)}) == len(others) + 1
    assert manifest_of(panel, clip=8)["hash"] == base["hash"]


def test_a_dropped_feature_leaves_its_reason(panel):
    left = without(manifest_of(panel), {"return_1d": "does not vary"})
    assert left["dropped"] == {"return_1d": "does not vary"}
    assert left["n_features"] == manifest_of(panel)["n_features"] - 1
    assert "return_1d_rank" not in left["columns"]
    with pytest.raises(ValueError, match="no feature is left"):
        without(left, dict.fromkeys(FEATURES, "all"))


def test_neighbours_warm_up_after_the_first_graph(panel):
    assert warmup(manifest_of(panel), 120) == 250
    neighbours = {"features": [{"lookback": 61, "family": "neighbours"}, {"lookback": 100, "family": "returns"}]}
    assert warmup(neighbours, 120) == 181


@pytest.mark.parametrize(
    ("windows", "first"),
    [
        # the longest look-back of 250, then the longer of the model's window and the graph's cadence
        ({"model_window": 20, "graph_cadence": 5, "residual_window": 0}, 270),
        ({"model_window": 5, "graph_cadence": 20, "residual_window": 270}, 270),
        ({"model_window": 20, "graph_cadence": 5, "residual_window": 400}, 400),  # targets are residuals from there on
    ],
)
def test_training_begins_when_features_graph_window_and_residual_targets_have_warmed_up(panel, windows, first):
    assert first_session(manifest_of(panel), graph_window=120, **windows) == first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalisation": "z"}, "features.normalisation = 'z'"),
        ({"normalisation_of": {"volume": "rank"}}, "features.normalisation = 'rank'"),
        ({"normalisation_of": {"volumes": "robust_z"}}, r"normalisation_of: \['volumes'\] is no family"),
        ({"sector_neutral": ["return"]}, r"sector_neutral: \['return'\] is no family"),
        ({"clip": 0}, "features.clip = 0"),
    ],
)
def test_settings_are_checked(panel, settings, message):
    with pytest.raises(ValueError, match=message):
        manifest_of(panel, **settings)
