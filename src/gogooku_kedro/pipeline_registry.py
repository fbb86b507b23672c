"""Every pipeline that `kedro run --pipelines=NAME` knows, written out.

Explicit on purpose: Kedro's `find_pipelines` imports only the folders that a command names, so a sum of
pipelines under a name of its own would fail (tests/pipelines/test_registry.py).
"""

from kedro.pipeline import Pipeline

from gogooku_kedro.pipelines import (
    ablation,
    baselines,
    daily,
    evaluation,
    explanation,
    features,
    graph,
    inference,
    ingestion,
    jquants,
    report,
    training,
    tuning,
    walk_forward,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Map names to pipelines.

    Returns:
        The stages, `data` (everything before training), `inference` (rank the latest session with a
        stored model), `explanation` (what a stored model learned), `walk_forward` (train and test fold
        by fold, on what `data` left), `ablation` (what the graph network adds, on what `data` left),
        `tuning` (which settings rank best, within the training part of what `data` left),
        `daily` (the desk's morning: rank the newest session and publish it), `jquants` (fetch prices and
        events) and `__default__` (from raw bars to the report).
    """
    stages = {
        "ingestion": ingestion.create_pipeline(),
        "features": features.create_pipeline(),
        "graph": graph.create_pipeline(),
        "training": training.create_pipeline(),
        "baselines": baselines.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "report": report.create_pipeline(),
    }
    data = stages["ingestion"] + stages["features"] + stages["graph"]
    return stages | {
        "data": data,
        "inference": inference.create_pipeline(),
        "walk_forward": walk_forward.create_pipeline(),
        "ablation": ablation.create_pipeline(),
        "tuning": tuning.create_pipeline(),
        "explanation": explanation.create_pipeline(),
        "daily": daily.create_pipeline(),
        "jquants": jquants.create_pipeline(),
        "__default__": data + stages["training"] + stages["baselines"] + stages["evaluation"] + stages["report"],
    }
