"""What a trained model learned: attention, edges, features, and the reasons of a single prediction."""

from gogooku_kedro.explanation.attention import attention_pairs, kendalls_w, planted_precision
from gogooku_kedro.explanation.attribution import WindowAttribution, integrated_gradients
from gogooku_kedro.explanation.edges import attention_explainer, edge_importance, effect_agreement, gnn_explainer
from gogooku_kedro.explanation.features import (
    daily_weights,
    family_importance,
    family_weights,
    feature_weights,
    feature_weights_by_month,
    seed_correlation,
)
from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.explanation.why import Why, explain_stock, render

__all__ = [
    "GraphPart",
    "Subject",
    "Why",
    "WindowAttribution",
    "attention_explainer",
    "attention_pairs",
    "daily_weights",
    "edge_importance",
    "effect_agreement",
    "explain_stock",
    "family_importance",
    "family_weights",
    "feature_weights",
    "feature_weights_by_month",
    "gnn_explainer",
    "integrated_gradients",
    "kendalls_w",
    "planted_precision",
    "render",
    "seed_correlation",
]
