"""Errors that have ruined evaluations elsewhere, made on purpose: a test must turn red for each of them.

Every case changes one line in a copy of the source and runs the tests that are to notice it. A line that is
no longer there fails here by name: move the mutation to where its number is computed now.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Mutation(NamedTuple):
    """One line of `file` below the package, what it becomes, and the test that must notice."""

    file: str
    line: str
    becomes: str
    noticed_by: str


MUTATIONS = {
    "a gradient of variable selection that goes on through a closed unit": Mutation(
        "model/vsn_numba.py",
        "dhidden[t] *= min(hidden[t], ZERO) + ONE",
        "dhidden[t] *= ONE",
        "tests/model/test_vsn_cpu.py::test_the_layer_is_the_same_with_them",
    ),
    "a gradient of the attention that goes to the wrong end of an edge": Mutation(
        "model/edge_numba.py",
        "_scatter(before, source, dleft[head, c], start, stop)",
        "_scatter(before, target, dleft[head, c], start, stop)",
        "tests/model/test_edge_cpu.py::test_messages_attention_and_gradients_are_those_of_pyg",
    ),
    "a linear path that is fitted on the validation part too": Mutation(
        "training/linear.py",
        "sums = _sums(_designs(market, train, *read))",
        "sums = _sums(_designs(market, (train[0], valid[1]), *read))",
        "tests/training/test_linear.py::test_the_gap_before_validation_is_not_learned_from",
    ),
    "a share of the linear path that is chosen with dropout on": Mutation(
        "training/train_seed.py",
        "scored = predict_days(model.eval(), market, days, resolve_device(job.training.device))",
        "scored = predict_days(model, market, days, resolve_device(job.training.device))",
        "tests/training/test_fit.py::test_the_linear_scores_are_mixed_with_what_the_network_says_without_dropout",
    ),
    "a challenger judged on days that one of the two was trained on": Mutation(
        "champion/comparison.py",
        "since = max(champion.unseen_from, challenger.unseen_from)",
        "since = min(champion.unseen_from, challenger.unseen_from)",
        "tests/champion/test_comparison.py::test_days_count_that_neither_model_has_seen_and_whose_label_is_known",
    ),
    "a champion replaced by who is ahead, whatever the interval says": Mutation(
        "champion/comparison.py",
        "if found.low > margin:",
        "if found.difference > margin:",
        "tests/champion/test_comparison.py::test_days_are_lacking_until_a_difference_like_the_one_found_would_be_seen",
    ),
    "rank IC with the sign flipped": Mutation(
        "metrics/rank_ic.py",
        "bounded: FloatArray = np.clip(correlation, -1.0, 1.0)",
        "bounded: FloatArray = np.clip(-correlation, -1.0, 1.0)",
        "tests/metrics/test_rank_ic.py::test_high_score_on_high_return_is_plus_one",
    ),
    "the portfolio buys what it should sell": Mutation(
        "metrics/decile_portfolios.py",
        "targets = long_short_targets(ranks)",
        "targets = -long_short_targets(ranks)",
        "tests/metrics/test_daily.py::test_perfect_foresight_reaches_every_maximum",
    ),
    "labels shifted by one session": Mutation(
        "labels/returns.py",
        "lag = entry_lag(entry)",
        "lag = entry_lag(entry) + 1",
        "tests/labels/test_target.py::test_labels_equal_brute_force",
    ),
    "costs ignored": Mutation(
        "metrics/decile_portfolios.py",
        "cost = cost_bps * 1e-4 * traded",
        "cost = 0.0 * traded",
        "tests/metrics/test_decile_portfolios.py::test_three_sessions_by_hand_with_a_daily_portfolio",
    ),
    "no purge before labels of 20 sessions": Mutation(
        "labels/split.py",
        "if purge_sessions < needed:",
        "if purge_sessions < 0:",
        "tests/labels/test_split.py::test_impossible_splits_name_the_setting_the_span_and_the_fix",
    ),
    "test rows in the scaler": Mutation(
        "training/train_seed.py",
        "market.levels[slice(*train)]",
        "market.levels",
        "tests/training/test_fit.py::test_level_scales_and_gradients_come_from_the_training_part_alone",
    ),
    "the epoch is chosen on the test part": Mutation(
        "training/data.py",
        "cut_days(*self.valid, self.chunk_days, shift=0)",
        "cut_days(self.valid[1], self.market.x.size(0), self.chunk_days, shift=0)",
        "tests/training/test_fit.py::test_the_test_part_is_never_read_in_training",
    ),
    "extreme labels dropped when testing": Mutation(
        "metrics/align.py",
        "labels = {h: returns[k, span].astype(np.float64) for k, h in enumerate(horizons)}",
        "labels = {h: np.where(abs(returns[k, span]) > 0.5, np.nan, returns[k, span]) for k, h in enumerate(horizons)}",
        "tests/metrics/test_daily.py::test_an_extreme_label_counts_like_any_other",
    ),
    "the weights of the last step are kept and not the averaged ones that were validated": Mutation(
        "training/train_seed.py",
        'read_checkpoint(checkpoints.path(checkpoints.best_epoch))["state_dict"]',
        'read_checkpoint(checkpoints.path(checkpoints.best_epoch))["current_model_state"]',
        "tests/training/test_fit.py::test_the_weights_kept_are_the_averaged_ones_that_were_validated",
    ),
    "a chunk hears the graphs of its window's first days": Mutation(
        "training/tensors.py",
        "self.graph.edges(first_day, present[window - 1 :], edges, counted)",
        "self.graph.edges(start, present[window - 1 :], edges, counted)",
        "tests/training/test_tensors.py::test_every_day_of_a_chunk_hears_the_graph_of_its_own_day",
    ),
    "a stock is heard that was there the day before": Mutation(
        "training/predict.py",
        "market.present[day : day + 1]",
        "market.present[day - 1 : day]",
        "tests/training/test_predict.py::test_a_stock_is_heard_on_the_days_of_which_it_is_part_whatever_it_was_the_day_before",
    ),
    "the peers of a control are those of its own graph": Mutation(
        "ablation/training.py",
        "measure_variant(predictions, by_seed, fold.labels, fold.graph_edges, self",
        "measure_variant(predictions, by_seed, fold.labels, control_graph(fold.graph_edges, training.graph, 1), self",
        "tests/ablation/test_ablation.py::test_the_peers_of_a_control_are_those_of_the_market_and_not_of_its_own_graph",
    ),
    "loanable is read on the session after the decision": Mutation(
        "backtest/portfolios.py",
        "loanable[first : first + len(part.dates)]",
        "loanable[first + 1 : first + 1 + len(part.dates)]",
        "tests/backtest/test_portfolios.py::test_a_stock_is_sold_short_that_can_be_borrowed_on_the_session_of_the_decision",
    ),
    "the band of hysteresis is for the long leg alone": Mutation(
        "backtest/targets.py",
        "(self.stay_short[:, session] & (held < 0))",
        "(self.stay_short[:, session] & (held < -9))",
        "tests/backtest/test_targets.py::test_a_stock_held_short_stays_while_it_ranks_within_the_wider_band",
    ),
    "an interval of a ratio draws single days": Mutation(
        "metrics/paired.py",
        "block = block_length(daily, horizon)",
        "block = block_length(daily, 1)",
        "tests/metrics/test_paired.py::test_the_interval_draws_blocks_of_the_horizon",
    ),
    "other days are drawn of the second series": Mutation(
        "metrics/paired.py",
        "statistic(draw[:, 0]) - statistic(draw[:, 1]) for draw in draws]",
        "statistic(draw[:, 0]) - statistic(other[:, 1]) for draw, other in zip(draws, draws[::-1])]",
        "tests/metrics/test_paired.py::test_the_interval_is_that_of_the_same_days_of_both_series",
    ),
    "an interval over seeds draws single days": Mutation(
        "metrics/paired_seeds.py",
        "block = block_length(daily, horizon)",
        "block = block_length(daily, 1)",
        "tests/metrics/test_paired_seeds.py::test_days_are_drawn_in_blocks_of_the_horizon",
    ),
    "crossing looks at the lowest two quantiles": Mutation(
        "metrics/quantiles.py",
        "np.diff(quantiles, axis=1)",
        "np.diff(quantiles[:, :2], axis=1)",
        "tests/metrics/test_quantiles.py::test_quantiles_cross_where_any_two_neighbours_do",
    ),
    "one beaten control is enough": Mutation(
        "report/key_results.py",
        "    if unbeaten:",
        "    if len(unbeaten) == len(lows):",
        "tests/report/test_key_results.py::test_the_graph_matters_where_every_control_that_was_asked_for_is_beaten_and_at_least_one_was",
    ),
    "no control is needed": Mutation(
        "report/key_results.py",
        '"matters" if lows else "a gain, but no control was run"',
        '"matters"',
        "tests/report/test_key_results.py::test_the_graph_matters_where_every_control_that_was_asked_for_is_beaten_and_at_least_one_was",
    ),
    "the warm-up leaves the residual window out": Mutation(
        "pipelines/features/nodes.py",
        "residual_window=labels_params.fitted_sessions()",
        "residual_window=0",
        "tests/pipelines/features/test_nodes.py::test_the_training_part_begins_when_features_window_and_residual_targets_have_warmed_up",
    ),
    "the warm-up of a fold leaves the residual window out": Mutation(
        "walk_forward/folds.py",
        "residual_window=labels.fitted_sessions()",
        "residual_window=0",
        "tests/walk_forward/test_folds.py::test_the_first_fold_begins_when_features_window_and_residual_targets_have_warmed_up",
    ),
    "share counts on an ex-date are taken as old shares": Mutation(
        "market/statements.py",
        "axis.position(disclosed), issue)",
        "axis.position(disclosed) - 1, issue)",
        "tests/market/test_events.py::test_a_filing_on_an_ex_date_states_new_shares_and_one_on_the_day_before_old_ones",
    ),
    "the base of a price limit does not split": Mutation(
        "market/panel.py",
        "before.clip(0), axis=0) * event",
        "before.clip(0), axis=0)",
        "tests/market/test_panel.py::test_the_base_of_the_limits_splits_with_the_price",
    ),
    "every epoch cuts the sessions of the first": Mutation(
        "training/data.py",
        "rng = np.random.default_rng((self.seed, epoch))",
        "rng = np.random.default_rng((self.seed, 0))",
        "tests/training/test_fit.py::test_a_quick_check_takes_few_batches_in_training_and_validation",
    ),
    "levels ahead begin with the day itself": Mutation(
        "training/tensors.py",
        "_rows(self.levels[ahead], first_day + 1, stop + AHEAD, torch.nan, device)",
        "_rows(self.levels[ahead], first_day, stop + AHEAD - 1, torch.nan, device)",
        "tests/training/test_tensors.py::test_levels_ahead_begin_after_the_first_day_and_end_20_sessions_after_the_last",
    ),
    "messages flow the other way": Mutation(
        "training/graph_tensors.py",
        "np.stack([source[known][order], target[known][order]])",
        "np.stack([target[known][order], source[known][order]])",
        "tests/training/test_tensors.py::test_every_day_of_a_chunk_hears_the_graph_of_its_own_day",
    ),
    "edge scales of the first graph alone": Mutation(
        "training/graph_tensors.py",
        "int(self.offset[graphs[-1] + 1])",
        "int(self.offset[graphs[0] + 1])",
        "tests/training/test_edge_scale.py::test_the_scale_is_that_of_the_graphs_in_force_on_the_training_days",
    ),
    "a day is scored with the state of the day before": Mutation(
        "training/predict.py",
        "state.hidden[at : at + 1]",
        "state.hidden[max(at - 1, 0) : max(at, 1)]",
        "tests/training/test_predict.py::test_no_score_depends_on_a_stock_that_is_absent_on_the_day",
    ),
    "a graph sees the session after its date": Mutation(
        "graph/build.py",
        "slice(session - params.window + 1, session + 1)",
        "slice(session - params.window + 2, session + 2)",
        "tests/graph/test_time_rules.py::test_the_future_does_not_move_a_graph[pearson]",
    ),
    "a graph is heard a session late": Mutation(
        "graph/build.py",
        'np.searchsorted(known, when, side="right") - 1',
        'np.searchsorted(known, when, side="left") - 1',
        "tests/training/test_tensors.py::test_a_day_uses_the_last_graph_not_after_it",
    ),
    "followers lead their leaders": Mutation(
        "graph/correlation.py",
        "_prepare(returns[1:], equal), _prepare(returns[:-1], equal)",
        "_prepare(returns[:-1], equal), _prepare(returns[1:], equal)",
        "tests/graph/test_lead_lag.py::test_a_leader_points_at_its_followers_and_not_back",
    ),
    "a union of one direction": Mutation(
        "graph/select.py",
        "kept[source, target] = True",
        "pass",
        "tests/graph/test_select.py::test_union_adds_the_reverse_of_every_edge",
    ),
    "neighbours' returns from the session after the graph's": Mutation(
        "graph/neighbours.py",
        "rows = slice(start, stop)",
        "rows = slice(start + 1, stop + 1)",
        "tests/graph/test_neighbours.py::test_the_return_is_weighted_by_size_and_turned_by_sign",
    ),
    "the market stays in the residual of the graph": Mutation(
        "graph/residual.py",
        "np.where(present, own - beta * market, np.nan)",
        "np.where(present, own, np.nan)",
        "tests/graph/test_residual.py::test_the_market_residual_is_that_of_least_squares",
    ),
    "correlations of two sessions": Mutation(
        "graph/correlation.py",
        "known = (count[i, j] >= enough)",
        "known = (count[i, j] >= 2)",
        "tests/graph/test_correlation.py::test_correlation_equals_pandas[56]",
    ),
    "peers of the graph before": Mutation(
        "baselines/neutral.py",
        'side="right") - 1',
        'side="left") - 1',
        "tests/baselines/test_neutral.py::test_day_uses_the_last_graph_known_on_that_day",
    ),
    "a peer of opposite sign counts negative": Mutation(
        "baselines/neighbour_means.py",
        ".abs().to_numpy(np.float64)",
        ".to_numpy(np.float64)",
        "tests/baselines/test_neighbour_means.py::test_mean_of_the_neighbours_weighs_by_correlation_and_leaves_the_stock_out",
    ),
    "factors without peers are called both": Mutation(
        "baselines/neutral.py",
        '"pca": neutralise_factors(excess, panel',
        '"pca": neutralise_factors(distinct, panel',
        "tests/baselines/test_neutral.py::test_every_model_has_its_neutral_versions",
    ),
    "reversal is momentum": Mutation(
        "baselines/rules.py",
        "return same_for_all_horizons(context, -_past_return(_close(context), 5))",
        "return same_for_all_horizons(context, _past_return(_close(context), 5))",
        "tests/baselines/test_rules.py::test_rules_are_the_past_returns_with_their_sign",
    ),
    "the penalty of the ridge is chosen on the test part": Mutation(
        "baselines/ridge.py",
        'rows.parts["train"], rows.parts["valid"]',
        'rows.parts["train"], rows.parts["test"]',
        "tests/baselines/test_ridge_and_lightgbm.py::test_scores_do_not_depend_on_test_labels_or_on_stocks_outside_the_universe[fit_ridge]",
    ),
    "peers that were members the day before": Mutation(
        "baselines/neighbour_means.py",
        "here = inside[dates][days].T.astype(np.float64)",
        "here = inside[dates][days - 1].T.astype(np.float64)",
        "tests/baselines/test_neighbour_means.py::test_only_members_are_heard_and_only_members_hear",
    ),
    "the oracle of the other entry": Mutation(
        "baselines/oracle.py",
        'suffix = "" if entry == "next_open" else f"_{entry}"',
        'suffix = ""',
        "tests/baselines/test_oracle.py::test_entry_at_the_close_has_scores_of_its_own",
    ),
    "buyers are refused at the lower limit": Mutation(
        "backtest/fills.py",
        'buyable=priced & ~(field("limit_up").astype(bool) & (raw == field("high")))',
        'buyable=priced & ~(field("limit_down").astype(bool) & (raw == field("low")))',
        "tests/backtest/test_simulation.py::test_three_days_by_hand",
    ),
    "the capacity knows the next session's value": Mutation(
        "backtest/fills.py",
        "self.median_value[first:end]",
        "self.median_value[first + 1 : end + 1]",
        "tests/backtest/test_simulation.py::test_capacity_reads_the_traded_value_up_to_the_decision",
    ),
    "sales need a buyable stock": Mutation(
        "backtest/simulation.py",
        "np.where(orders > 0.0, buyable, sellable)",
        "np.where(orders > 0.0, sellable, buyable)",
        "tests/backtest/test_simulation.py::test_three_days_by_hand",
    ),
    "one sub-portfolio of several is renewed": Mutation(
        "backtest/simulation.py",
        "self._starts + session % self.horizons",
        "self._starts",
        "tests/backtest/test_simulation.py::test_half_a_portfolio_is_renewed_and_the_other_half_drifts_with_prices",
    ),
    "the sector cap holds for the long leg alone": Mutation(
        "backtest/targets.py",
        "legs = [cap_sectors(leg, sector, sector_cap) for leg in legs]",
        "legs[0] = cap_sectors(legs[0], sector, sector_cap)",
        "tests/backtest/test_targets.py::test_the_sector_cap_holds_every_day",
    ),
    "costs are earned": Mutation(
        "backtest/portfolios.py",
        '"net": gross - cost',
        '"net": gross + cost',
        "tests/backtest/test_simulation.py::test_three_days_by_hand",
    ),
    "costs on purchases alone": Mutation(
        "backtest/simulation.py",
        '"traded": np.abs(held.trades).sum(axis=1)',
        '"traded": held.trades.clip(min=0.0).sum(axis=1)',
        "tests/backtest/test_simulation.py::test_three_days_by_hand",
    ),
    "a drawdown from the first day is none": Mutation(
        "backtest/performance.py",
        "np.maximum.accumulate(np.r_[1.0, curve])[1:] - curve",
        "np.maximum.accumulate(curve) - curve",
        "tests/backtest/test_performance.py::test_returns_on_a_constant_notional_add_up",
    ),
    "skewness helps the wrong way": Mutation(
        "backtest/sharpe_tests.py",
        "1.0 - skewness * ratio",
        "1.0 + skewness * ratio",
        "tests/backtest/test_sharpe_tests.py::test_the_example_of_the_paper",
    ),
    "the oracle is a trial": Mutation(
        "backtest/summary.py",
        "if one.split == split and one.model not in left_out:",
        "if one.split == split:",
        "tests/backtest/test_summary.py::test_trials_are_counted_without_the_oracle_and_without_the_missing",
    ),
    "the lag of one session for all horizons": Mutation(
        "metrics/significance.py",
        "return horizon - 1 + 4",
        "return 4",
        "tests/metrics/test_paired.py::test_overlapping_labels_lower_the_t_value",
    ),
    "one day late is one day early": Mutation(
        "metrics/daily.py",
        "np.vstack([np.full((1, score.shape[1]), np.nan), score[:-1]])",
        "np.vstack([score[1:], np.full((1, score.shape[1]), np.nan)])",
        "tests/metrics/test_daily.py::test_one_day_late_holds_yesterdays_score_against_todays_label",
    ),
    "a missing return counts as 0": Mutation(
        "metrics/rank_ic.py",
        "present = np.isfinite(scores) & np.isfinite(returns)",
        "present = np.isfinite(scores); returns = np.nan_to_num(returns)",
        "tests/metrics/test_rank_ic.py::test_rank_ic_is_the_spearman_correlation_of_each_date",
    ),
    "overlapping portfolios add up to more than one": Mutation(
        "metrics/decile_portfolios.py",
        "(cumulative[horizon:] - cumulative[:-horizon]) / horizon",
        "(cumulative[horizon:] - cumulative[:-horizon])",
        "tests/metrics/test_decile_portfolios.py::test_three_sessions_by_hand_with_two_overlapping_portfolios",
    ),
    "a long-only net return keeps the market": Mutation(
        "metrics/decile_portfolios.py",
        "PortfolioReturns(portfolio.gross - market, portfolio.net - market",
        "PortfolioReturns(portfolio.gross - market, portfolio.net",
        "tests/metrics/test_decile_portfolios.py::test_long_only_is_measured_against_the_equally_weighted_universe",
    ),
    "autocorrelation with yesterday for every horizon": Mutation(
        "metrics/scores.py",
        "rank_ic(scores[sessions:], scores[:-sessions])",
        "rank_ic(scores[sessions:], scores[sessions - 1 : -1])",
        "tests/metrics/test_scores.py::test_autocorrelation_is_spearmans_with_the_session_that_many_before",
    ),
    "a day that one model lacks counts as 0": Mutation(
        "metrics/paired_seeds.py",
        'join="inner").dropna()',
        'join="inner").fillna(0.0)',
        "tests/metrics/test_paired_seeds.py::test_a_day_that_one_model_lacks_counts_for_no_variant",
    ),
    "a stock without a label lies above its quantiles": Mutation(
        "metrics/quantiles.py",
        "known = np.isfinite(outcome)[:, None] & np.isfinite(quantiles)",
        "known = np.isfinite(quantiles)",
        "tests/metrics/test_quantiles.py::test_share_below_counts_the_labelled_stocks_under_their_own_quantile",
    ),
    "loadings see the session after the refit": Mutation(
        "labels/residual.py",
        "slice(first - window + 1, first + 1)",
        "slice(first - window + 2, first + 2)",
        "tests/labels/test_residual.py::test_pca_residual_equals_svd_and_least_squares[next_open]",
    ),
    "a jump on the entry session is a return": Mutation(
        "labels/returns.py",
        "market.jumps[lag + horizon :][:known] != market.jumps[:known]",
        "market.jumps[lag + horizon :][:known] != market.jumps[entered]",
        "tests/labels/test_target.py::test_labels_equal_brute_force[next_open]",
    ),
    "a missing label is 0": Mutation(
        "labels/returns.py",
        "leave / enter - 1, np.nan), status",
        "leave / enter - 1, 0.0), status",
        "tests/labels/test_target.py::test_labels_equal_brute_force[next_open]",
    ),
    "the test part begins a session early": Mutation(
        "labels/split.py",
        '"test": (last_valid + 1 + purge_sessions, len(sessions) - 1)',
        '"test": (last_valid + purge_sessions, len(sessions) - 1)',
        "tests/labels/test_split.py::test_parts_of_three_hundred_sessions",
    ),
    "every beta is 1": Mutation(
        "labels/residual.py",
        "left = values - beta[rows] * mean_over_codes(values)[:, None]",
        "left = values - mean_over_codes(values)[:, None]",
        "tests/labels/test_residual.py::test_market_residual_by_hand",
    ),
    "labels are ranked with stocks outside the universe": Mutation(
        "labels/target.py",
        "target.where(in_universe)",
        "target",
        "tests/labels/test_target.py::test_training_labels_rank_the_members_of_each_date",
    ),
    "an event counts on its own day": Mutation(
        "market/asof.py",
        "return self.position(days) + 1",
        "return self.position(days)",
        "tests/market/test_events.py::test_an_event_counts_from_the_next_session_whatever_its_time[08:30:00]",
    ),
    "a balance is known a session early": Mutation(
        "market/margin_balances.py",
        "axis.position(date) + _UNPUBLISHED_LAG + 1",
        "axis.position(date) + _UNPUBLISHED_LAG",
        "tests/market/test_events_weekly.py::test_a_balance_without_publication_date_counts_from_the_third_session",
    ),
    "a forecast stated with the results was made before them": Mutation(
        "market/statement_state.py",
        "bound = np.where(results >= 0, results - 1, self._bound)",
        "bound = np.where(results >= 0, results, self._bound)",
        "tests/market/test_events.py::test_what_is_said_about_a_year_after_its_results_is_no_forecast_of_it",
    ),
    "the mean of the whole series": Mutation(
        "arrays/cross_section.py",
        "mean = np.cumsum(centred) / n\n",
        "mean = centred.sum() / n[-1]\n",
        "tests/arrays/test_cross_section.py::test_a_series_is_measured_against_its_own_past",
    ),
    "a stock that does not trade is in the universe": Mutation(
        "arrays/cross_section.py",
        "in_universe = traded & (history >= min_history) & ~panel",
        "in_universe = (history >= min_history) & ~panel",
        "tests/arrays/test_cross_section.py::test_the_universe_trades_today_on_a_full_session_after_enough_history",
    ),
    "tomorrow's index return in a feature": Mutation(
        "features/families/lead_lag.py",
        'panel["index_return"].shift(date=1), window)',
        'panel["index_return"].shift(date=-1), window)',
        "tests/features/test_feature_oracles.py::test_a_feature_is_what_its_definition_says[complete-index_lag_beta_120d]",
    ),
    "features are ranked with stocks outside the universe": Mutation(
        "features/normalise.py",
        "among = np.where(inside, values, np.nan)",
        "among = values",
        "tests/features/test_normalise.py::test_x_has_no_missing_value_and_a_mask_per_family_says_what_was_missing",
    ),
    "the permuted graph is the graph": Mutation(
        "ablation/control_graphs.py",
        "here[np.roll(circle, -1)]",
        "here[circle]",
        "tests/ablation/test_control_graphs.py::test_no_stock_keeps_its_place",
    ),
    "the ensemble counts as a seed": Mutation(
        "ablation/gat_effect.py",
        'models = daily[daily["seed"] != ENSEMBLE]',
        'models = daily.replace({"seed": {ENSEMBLE: "9"}})',
        "tests/ablation/test_gat_effect.py::test_the_file_has_the_shape_that_others_read",
    ),
    "a control less on is called on less control": Mutation(
        "ablation/gat_effect.py",
        "on_less = series.compare(ON, control, kind, horizon, name)",
        "on_less = series.compare(control, ON, kind, horizon, name)",
        "tests/ablation/test_gat_effect.py::test_a_gain_of_half_is_found_and_the_controls_add_nothing",
    ),
    "a goal is met by any gain": Mutation(
        "ablation/gat_effect.py",
        "if low > goal:",
        "if low > 0:",
        "tests/ablation/test_gat_effect.py::test_the_verdict_is_that_of_the_whole_interval",
    ),
    "every seed has the scores of the ensemble": Mutation(
        "ablation/scores.py",
        'frames = {str(seed): rows for seed, rows in seed_predictions.groupby("seed", sort=True)}',
        'frames = {str(seed): predictions for seed, rows in seed_predictions.groupby("seed", sort=True)}',
        "tests/ablation/test_ablation.py::test_the_numbers_are_those_of_the_evaluation",
    ),
    "the rank of one member stands for the ensemble's": Mutation(
        "training/predict.py",
        "    ranks = [_ranks_by_date(frame[scores].to_numpy(np.float32), borders) for frame in frames]",
        "    ranks = [_ranks_by_date(frame[scores].to_numpy(np.float32), borders) for frame in frames[:1]]",
        "tests/training/test_ensemble.py::test_a_score_is_the_mean_of_the_members_gaussian_ranks",
    ),
    "the quantiles of one member stand for the ensemble's": Mutation(
        "training/predict.py",
        "for frame in frames], axis=0)\n    borders",
        "for frame in frames[:1]], axis=0)\n    borders",
        "tests/training/test_ensemble.py::test_a_score_is_the_mean_of_the_members_gaussian_ranks",
    ),
    "dropout of every seed is that of seed 0": Mutation(
        "training/train_seed.py",
        "SeedEveryStep(training.seed)",
        "SeedEveryStep(0)",
        "tests/training/test_fit.py::test_the_noise_of_a_model_is_that_of_its_own_seed",
    ),
    "a fold's training part reaches into the gap": Mutation(
        "walk_forward/folds.py",
        "last_train = valid - gap - 1",
        "last_train = valid - gap",
        "tests/walk_forward/test_folds.py::test_two_expanding_folds_of_three_hundred_sessions",
    ),
    "a fold holds later graphs": Mutation(
        "walk_forward/refit.py",
        'self.graph_edges["asof"] <= pd.Timestamp(split["test"][1])',
        'self.graph_edges["asof"] <= pd.Timestamp.max',
        "tests/walk_forward/test_refit.py::test_a_fold_ends_with_its_test_part",
    ),
    "attention is summed over days": Mutation(
        "explanation/attention.py",
        "means = {name: _at(sums[name], source, target) / count for name in MEANS}",
        "means = {name: _at(sums[name], source, target) for name in MEANS}",
        "tests/explanation/test_attention_pairs.py::test_attention_lift_and_rank_are_those_of_the_hand",
    ),
    "attention agrees with the signed effect": Mutation(
        "explanation/edges.py",
        '_spearman(table["attention"], table[effect].abs())',
        '_spearman(table["attention"], table[effect])',
        "tests/explanation/test_edge_importance.py::test_attention_can_agree_with_the_effect_within_a_stock_and_not_over_all",
    ),
    "the validation part is in the first screen": Mutation(
        "report/key_results.py",
        'test = daily[daily["split"] == "test"]\n    earned',
        "test = daily\n    earned",
        "tests/report/test_key_results.py::test_the_first_screen_is_of_the_test_part_alone",
    ),
    "the attention of one seed stands for all": Mutation(
        "explanation/attention.py",
        'means = by_seed.groupby(PAIR).agg({**dict.fromkeys(MEANS, "mean"), "days": "max"})',
        'means = by_seed.groupby(PAIR).agg({**dict.fromkeys(MEANS, "first"), "days": "max"})',
        "tests/explanation/test_attention_pairs.py::test_attention_is_the_mean_over_the_seeds",
    ),
    "the gain in Sharpe is before costs": Mutation(
        "report/key_results.py",
        '["test", LONG_SHORT, cost_bps]',
        '["test", LONG_SHORT, returns["cost_bps"].min()]',
        "tests/report/test_key_results.py::test_the_gain_in_sharpe_is_that_of_the_portfolios_after_costs",
    ),
    "luck is called skill": Mutation(
        "report/key_results.py",
        "net.deflated_sharpe < BEYOND_LUCK",
        "net.deflated_sharpe > BEYOND_LUCK",
        "tests/report/test_cards.py::test_a_sharpe_ratio_that_many_trials_explain_is_not_good_news[0.94-open-True]",
    ),
    "the peers' score is added": Mutation(
        "model/heads.py",
        "return score - torch.sigmoid(self.strength) * neighbours",
        "return score + torch.sigmoid(self.strength) * neighbours",
        "tests/model/test_gat.py::test_neutralisation_takes_half_of_the_peers_mean_at_the_start",
    ),
    "quantiles may cross": Mutation(
        "model/heads.py",
        "return steps.movedim(-1, 0).cumsum(dim=0).movedim(0, -1)",
        "return raw",
        "tests/model/test_blocks.py::test_quantiles_increase_for_any_input",
    ),
    "attention sees later days": Mutation(
        "model/temporal.py",
        "inside = (age >= 0) & (age < self.window)",
        "inside = age < self.window",
        "tests/model/test_token_once.py::test_token_once_encoding_equals_one_window_at_a_time[vsn+fan+san+gat-0]",
    ),
    "every edge is positive": Mutation(
        "model/gat.py",
        "return torch.where(correlation < 0, -1.0, 1.0)",
        "return torch.ones_like(correlation)",
        "tests/model/test_gat.py::test_the_sign_of_an_edge_is_that_of_its_correlation",
    ),
    "settings are tuned on the test part": Mutation(
        "pipelines/tuning/nodes.py",
        'panel["date"].sel(date=slice(None, split["train"][1])).to_numpy()',
        'panel["date"].to_numpy()',
        "tests/tuning/test_folds.py::test_the_folds_end_with_the_training_part",
    ),
    "trials are measured where their epoch was chosen": Mutation(
        "tuning/folds.py",
        'list(range(*part_range(fold.split, dates, "test")))',
        'list(range(*part_range(fold.split, dates, "valid")))',
        "tests/tuning/test_folds.py::test_a_trial_measures_the_rank_ic_of_the_test_part_of_its_fold",
    ),
    "the trials of a tuning do not count as luck": Mutation(
        "backtest/summary.py",
        "trials = len(ratios) + tuned",
        "trials = len(ratios)",
        "tests/backtest/test_summary.py::test_trials_of_a_tuning_of_the_same_data_count_and_make_the_deflated_ratio_smaller",
    ),
    "a trial that was cut off begins at its first fold": Mutation(
        "tuning/store.py",
        "return list(max(found, key=len, default=[]))",
        "return []",
        "tests/tuning/test_search.py::test_a_trial_that_was_cut_off_goes_on_after_its_finished_folds",
    ),
    "self loops are dropped": Mutation(
        "model/gat.py",
        "kept = is_self | (random_like",
        "kept = (random_like",
        "tests/model/test_gat.py::test_edge_dropout_spares_self_loops",
    ),
}


EVERY_RUN = {
    "rank IC with the sign flipped",
    "the portfolio buys what it should sell",
    "labels shifted by one session",
    "costs ignored",
    "no purge before labels of 20 sessions",
    "test rows in the scaler",
    "the epoch is chosen on the test part",
    "extreme labels dropped when testing",
}
"""Faults that are tried in every run of the tests; the others with `-m slow`, a quarter of an hour."""


CASES = [
    pytest.param(mutation, id=name, marks=[] if name in EVERY_RUN else [pytest.mark.slow])
    for name, mutation in MUTATIONS.items()
]


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_fault_names_a_line_and_a_test_that_exist(mutation: Mutation):
    text = (ROOT / "src" / "gogooku_kedro" / mutation.file).read_text()
    assert text.count(mutation.line) == 1, f"{mutation.file} holds {mutation.line!r} not exactly once"
    file, _, name = mutation.noticed_by.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


@pytest.mark.parametrize("mutation", CASES)
def test_a_test_turns_red(mutation: Mutation, tmp_path: Path):
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src" / "gogooku_kedro", source / "gogooku_kedro")
    file = source / "gogooku_kedro" / mutation.file
    text = file.read_text()
    file.write_text(text.replace(mutation.line, mutation.becomes))
    options = ["-x", "-p", "no:cacheprovider", "--assert=plain"]
    command = [sys.executable, "-m", "pytest", *options, mutation.noticed_by]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout + result.stderr
    assert "1 failed" in result.stdout
