"""A graph that an enabled GAT could not learn from is refused."""

import pandas as pd
import pytest

from gogooku_kedro.graph import check_graph

TRAIN = ["2020-02-03", "2020-06-30"]


def graph(asof="2020-01-31", pairs=(("1", "1"), ("1", "2"), ("2", "2"))) -> pd.DataFrame:
    source, target = zip(*pairs, strict=True)
    own = [float(s == t) for s, t in pairs]
    return pd.DataFrame(
        {
            "asof": pd.Timestamp(asof),
            "source": source,
            "target": target,
            "correlation": 0.5,
            "is_self": own,
        }
    )


def test_a_graph_before_the_training_part_passes():
    check_graph(graph(), ["correlation", "is_self"], TRAIN)


def test_a_graph_on_the_first_training_session_is_in_time_and_one_session_later_is_not():
    check_graph(graph("2020-02-03"), ["correlation"], TRAIN)
    message = r"graph\.window: the first graph is of 2020-02-04, after the first training session \(2020-02-03\)"
    with pytest.raises(ValueError, match=message):
        check_graph(graph("2020-02-04"), ["correlation"], TRAIN)


def test_an_attribute_the_graph_does_not_have_is_named_beside_those_it_has():
    message = (
        r"model\.gat\.edge_attributes: \['lead_lag', 'beta'\] not in the graph, whose edges have "
        r"\['correlation', 'is_self'\]; name only these"
    )
    with pytest.raises(ValueError, match=message):
        check_graph(graph(), ["lead_lag", "correlation", "beta"], TRAIN)


def test_the_columns_that_say_when_and_who_are_not_attributes():
    with pytest.raises(ValueError, match=r"\['asof'\] not in the graph"):
        check_graph(graph(), ["asof"], TRAIN)


@pytest.mark.parametrize(
    "edges",
    [graph(pairs=[("1", "1"), ("2", "2")]), graph("2020-07-01"), graph().iloc[:0]],
    ids=["only self loops", "first graph after training", "no row at all"],
)
def test_a_graph_without_neighbours_in_training_is_refused(edges):
    with pytest.raises(ValueError, match=r"no edge between two stocks up to .*2020-06-30.*lower graph\.threshold"):
        check_graph(edges, ["correlation"], TRAIN)
