"""Why this stock on this session: score and rank, the features and the neighbours that made them, as text too."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import xarray as xr
from rich import box
from rich.console import Console
from rich.table import Table

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.attribution import WindowAttribution, integrated_gradients
from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.explanation.subject import Subject, combined_scores
from gogooku_kedro.market.parsing import parse_codes
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import EncodedDay, encode_days
from gogooku_kedro.typing import Float32Array

RECENT = (1, 5, 20)
"""Sessions of the past returns shown beside a stock."""

FORMATS = {
    "value": "{:+.2f}",
    "attribution": "{:+.4f}",
    "attention": "{:.3f}",
    "lift": "{:.2f}",
    "correlation": "{:+.2f}",
    "sign": "{:+.0f}",
    "same_sector": "{:.0f}",
    "effect": "{:+.4f}",
    "score": "{:+.3f}",
    "gate": "{:.3f}",
    "return_1d": "{:+.1%}",
    "return_5d": "{:+.1%}",
    "return_20d": "{:+.1%}",
}
GATES_SHOWN, WIDTH = 5, 120


@dataclass(frozen=True)
class Why:
    """One prediction and what made it; figures of an ensemble are means over its seed models.

    Attributes:
        code: The stock.
        date: The session.
        horizon: Horizon in sessions.
        score: As the predictions have it.
        rank: Place among the stocks of the date, 1 = highest score.
        stocks: Number of stocks of the date.
        quantiles: Of the per-date Gaussian rank of the return, by level.
        own_score: Mean of the seed models' own scores, which the attributions add up to.
        median_score: What it would be for a stock that is the median in every feature.
        gap: Largest completeness gap of the seed models' attributions, a fraction; NaN where undefined.
        peers_effect: What all neighbours together add to `own_score`; NaN without graph.
        features: `feature, family, value` (on the session), `attribution` (sum over the window), the largest
            first.
        families: `family, attribution`, likewise.
        neighbours: `source, attention, lift, correlation, sign, same_sector, effect, score` and recent
            returns, the most attended first; no rows without graph.
        gate: `feature, family, gate` by the state of the market (1 = neutral); no rows without a gate.
    """

    code: str
    date: pd.Timestamp
    horizon: int
    score: float
    rank: int
    stocks: int
    quantiles: dict[float, float]
    own_score: float
    median_score: float
    gap: float
    peers_effect: float
    features: pd.DataFrame
    families: pd.DataFrame
    neighbours: pd.DataFrame
    gate: pd.DataFrame

    def as_dict(self, top: int) -> dict[str, Any]:
        """JSON types, with the first `top` rows of every table; what is not a number is None."""
        tables = ("features", "families", "neighbours", "gate")
        plain: dict[str, Any] = {k: v for k, v in vars(self).items() if k not in tables}
        plain |= {
            "date": f"{self.date:%Y-%m-%d}",
            "quantiles": {str(q): v for q, v in self.quantiles.items()},
        }
        plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}
        for name in tables:
            rows = getattr(self, name).head(top).to_dict("records")
            plain[name] = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]
        return plain


class _Scored(NamedTuple):
    model: ATFTGATFAN
    day: EncodedDay
    score: Float32Array  # (N, 4), NaN = not in the cross-section
    quantiles: Float32Array  # (N, 4, Q)


def explain_stock(
    subject: Subject,
    panel: xr.Dataset,
    levels: Sequence[float],
    code: str,
    date: pd.Timestamp | None,
    horizon: int,
    steps: int,
) -> Why:
    """Explain the score of a stock on a session; nothing after that session is read.

    Args:
        subject: Models and market.
        panel: `adj_close` (date, code), for recent returns.
        levels: Quantile levels of the models.
        code: The stock, as the market or as a price file writes it: 72030, 7203, 7203.T.
        date: The session; None is the latest with a cross-section.
        horizon: In sessions.
        steps: Of integrated gradients.

    Raises:
        ValueError: If stock or session is unknown, or the stock is not in the cross-section of the session.
    """
    stock, day, h = _stock(subject, code), _day(subject, date), HORIZONS.index(horizon)
    _check_in_universe(subject, stock, day)
    by_seed = [_scored(subject, model, day) for model in subject.models]
    scores = combined_scores([scored.score[None] for scored in by_seed])[0][:, h]
    made = [integrated_gradients(subject, m, day, stock, h, steps) for m in subject.models]
    quantiles = np.mean([scored.quantiles[stock, h] for scored in by_seed], axis=0)
    neighbours, peers_effect = _neighbours(subject, by_seed, stock, h)
    neighbours["score"] = scores[neighbours["position"]]
    recent = recent_returns(panel, subject.dates[day])
    features = _features(subject, made, day, stock)
    return Why(
        code=str(subject.codes[stock]),
        date=subject.dates[day],
        horizon=horizon,
        score=float(scores[stock]),
        rank=1 + int((scores > scores[stock]).sum()),
        stocks=int(np.isfinite(scores).sum()),
        quantiles={float(q): float(v) for q, v in zip(levels, quantiles, strict=True)},
        own_score=float(np.mean([each.score for each in made])),
        median_score=float(np.mean([each.baseline_score for each in made])),
        gap=float(np.max([each.gap for each in made])),
        peers_effect=peers_effect,
        features=features,
        families=_largest_first(features.groupby("family", sort=False)["attribution"].sum().reset_index()),
        neighbours=neighbours.drop(columns="position").join(recent, on="source"),
        gate=_gate(subject, day),
    )


def recent_returns(panel: xr.Dataset, date: pd.Timestamp) -> pd.DataFrame:
    """Returns of the adjusted close over the last 1, 5, 20 sessions up to `date`, by code; NaN = absent."""
    past = panel["adj_close"].sel(date=slice(None, date)).transpose("date", "code").to_numpy()
    returns = {f"return_{h}d": past[-1].astype(np.float64) / past[-1 - h] - 1 for h in RECENT if len(past) > h}
    return pd.DataFrame(returns, index=panel.indexes["code"].astype(str))


def render(why: Why, top: int) -> str:
    """The explanation as plain text: what the score is, and tables of at most `top` rows."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    console.print(*_summary(why), sep="\n")
    console.print(_table(f"Features (of {len(why.features)}, masks among them)", why.features.head(top)))
    console.print(_table("Families", why.families.head(top)))
    if len(why.neighbours):
        console.print(_table(f"Neighbours (of {len(why.neighbours)})", why.neighbours.head(top)))
    if len(why.gate):
        console.print(_table("Market gate, furthest from 1", why.gate.head(GATES_SHOWN)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _stock(subject: Subject, code: str) -> int:
    codes = [str(each) for each in subject.codes]
    for candidate in (code, *parse_codes(pd.Series([code]), source="--code")):
        if candidate in codes:
            return codes.index(candidate)
    near = get_close_matches(code, codes, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; they run from {codes[0]} to {codes[-1]}"
    raise ValueError(f"--code {code}: not among the {len(codes)} stocks of the features{hint}")


def _day(subject: Subject, date: pd.Timestamp | None) -> int:
    dates, first = subject.dates, subject.models[0].window - 1
    if date is None:
        return int(subject.market.present.any(dim=1).nonzero()[-1])
    if date not in dates:
        raise ValueError(
            f"--date {date:%Y-%m-%d}: no session of the market, which has {len(dates)} from "
            f"{dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
        )
    day = int(dates.get_indexer(pd.DatetimeIndex([date]))[0])
    if day < first:
        raise ValueError(
            f"--date {date:%Y-%m-%d}: the model reads {first + 1} sessions, so the first day it scores is "
            f"{dates[first]:%Y-%m-%d}"
        )
    return day


def _check_in_universe(subject: Subject, stock: int, day: int) -> None:
    if bool(subject.market.present[day, stock]):
        return
    before = subject.dates[: day + 1][subject.market.present[: day + 1, stock].cpu().numpy()]
    last = f"the last time before was {before[-1]:%Y-%m-%d}" if len(before) else "nor on any day before"
    raise ValueError(
        f"--code {subject.codes[stock]}: not in the cross-section of {subject.dates[day]:%Y-%m-%d} (it did "
        f"not trade, or is listed too short); {last}"
    )


def _scored(subject: Subject, model: ATFTGATFAN, position: int) -> _Scored:
    (day,) = encode_days(model, subject.market, [position])
    with torch.no_grad():
        score, quantiles, _ = model.rank(day.hidden, day.present, day.edge_index, day.edge_attr)
    known = score[0].masked_fill(~day.present[0].unsqueeze(-1), torch.nan)
    return _Scored(model, day, known.float().cpu().numpy(), quantiles[0].float().cpu().numpy())


def _features(subject: Subject, made: Sequence[WindowAttribution], day: int, stock: int) -> pd.DataFrame:
    table = subject.features.assign(
        value=subject.market.x[day, stock].double().cpu().numpy(),
        attribution=np.mean([each.attribution.sum(axis=0) for each in made], axis=0),
    )
    return _largest_first(table)


def _largest_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("attribution", key=np.abs, ascending=False, ignore_index=True)


def _neighbours(subject: Subject, by_seed: Sequence[_Scored], stock: int, horizon: int) -> tuple[pd.DataFrame, float]:
    """Return the neighbours with means over the seed models, and the mean effect of all of them together."""
    columns = ("attention", "lift", "correlation", "sign", "same_sector", "effect")
    frames, together = [], []
    for scored in by_seed:
        attended = subject.attended(scored.model, scored.day)
        if attended is None:
            continue
        part = GraphPart(scored.model, scored.day)
        edges = np.flatnonzero((attended.target == stock) & (attended.source != stock))
        effect = part.drop_effects(torch.from_numpy(edges).to(part.x.device))[:, horizon]
        frame = pd.DataFrame({name: getattr(attended, name)[edges] for name in columns[:-1]})
        frames.append(frame.assign(effect=effect.double().cpu().numpy(), position=attended.source[edges]))
        together.append(float(part.peers_effect(stock)[horizon]))
    if not frames:
        return pd.DataFrame(columns=["source", *columns, "position"]).astype({"position": int}), np.nan
    table = pd.concat(frames).groupby("position")[list(columns)].mean().reset_index()
    table.insert(0, "source", subject.codes.to_numpy(dtype=object)[table["position"]].astype(str))
    return table.sort_values("attention", ascending=False, ignore_index=True), float(np.mean(together))


def _gate(subject: Subject, day: int) -> pd.DataFrame:
    context = subject.market.context[day : day + 1]
    with torch.no_grad():
        gates = [model.market_gate.gate(context)[0, 0] for model in subject.models if model.market_gate]
    if not gates:
        return pd.DataFrame(columns=["feature", "family", "gate"])
    mean = torch.stack(gates).double().mean(dim=0).cpu().numpy()
    table = subject.features.assign(gate=mean)
    return table.sort_values("gate", key=lambda g: (g - 1).abs(), ascending=False, ignore_index=True)


def _summary(why: Why) -> Sequence[str]:
    quantiles = ", ".join(f"{level:.0%} {value:+.2f}" for level, value in why.quantiles.items())
    lines = [
        f"{why.code} on {why.date:%Y-%m-%d}, {why.horizon} sessions ahead",
        f"score {why.score:+.4f}, rank {why.rank} of {why.stocks}",
        f"quantiles of its Gaussian rank: {quantiles}",
        f"a stock that is the median in every feature would have {why.median_score:+.4f} in its place; the "
        f"features' attributions add up to the difference from {why.own_score:+.4f}",
    ]
    if not math.isnan(why.gap):
        lines[-1] += f" (gap {why.gap:.1%})"
    if not math.isnan(why.peers_effect):
        lines.append(f"all neighbours together add {why.peers_effect:+.4f}")
    return lines


def _table(title: str, rows: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", title_style="bold")
    for name in rows:
        table.add_column(str(name).replace("_", " "), justify="right" if name in FORMATS else "left")
    for row in rows.itertuples(index=False):
        table.add_row(*(_cell(str(name), value) for name, value in zip(rows, row, strict=True)))
    return table


def _cell(name: str, value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "-"
    return FORMATS.get(name, "{}").format(value)
