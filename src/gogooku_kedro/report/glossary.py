"""The words of a report and what they mean: tooltips of the page and the page `docs/terms.md` are made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word and its meaning.

    Attributes:
        name: As it stands in the glossary.
        meaning: One or two sentences, with the unit.
        also: Headings of tables that stand for it, as they are written.
    """

    name: str
    meaning: str
    also: tuple[str, ...] = ()


TERMS = (
    Term("session", "A trading day."),
    Term("cross-section", "The stocks compared on one session."),
    Term("universe", "The stocks of a session that get a score (`in_universe`)."),
    Term("seed model", "The model of one training seed; an ensemble averages several."),
    Term("variant", "The model with some settings changed, in the ablation."),
    Term(
        "decile portfolio", "Top against bottom decile of the scores, weights reset every session, every order filled."
    ),
    Term(
        "rank IC",
        "Spearman correlation between the scores of a session and the returns that follow, averaged over sessions. "
        "0 is no skill; 0.03 to 0.06 is much for liquid stocks.",
        ("model", "all folds", "rank IC, ensemble", "rank IC less on", "on", "off", "difference"),
    ),
    Term(
        "95% interval",
        "Range that holds the true mean in 95 of 100 samples of as many sessions, allowing for overlapping labels. "
        "Where it holds 0, the sign is undecided.",
    ),
    Term("p", "Probability of a difference at least this large if there were none."),
    Term(
        "undecided",
        "The 95% interval holds 0: the sessions cannot tell the difference from none. It does not say that both are "
        "equal.",
        ("answer", "verdict"),
    ),
    Term(
        "best baseline",
        "The baseline with the largest rank IC on the validation part, averaged over horizons. The test part has no "
        "say in the choice.",
    ),
    Term("horizon", "Sessions from entry to exit over which the return is measured: 1d, 5d, 10d, 20d."),
    Term(
        "t (Newey-West)",
        "Mean rank IC over its standard error, corrected for overlapping labels. Beyond ±2 is rarely chance.",
    ),
    Term("rank ICIR", "Mean over standard deviation of the daily rank IC; not annualised."),
    Term("IC", "Pearson correlation between scores and returns, averaged over sessions."),
    Term("ICIR", "Mean over standard deviation of the daily IC; not annualised."),
    Term(
        "lag-1 rank IC",
        "Rank IC of yesterday's score against today's label: what is left when trading starts one session late.",
    ),
    Term("hit rate", "Share of stocks on the same side of both medians, score and return; 50% is no skill."),
    Term("decile spread", "Return of the top tenth of the scores less that of the bottom tenth, over the horizon."),
    Term(
        "monotonicity of deciles",
        "Rank correlation between the number of a decile and its mean return; 1 is a perfect staircase.",
    ),
    Term(
        "net Sharpe",
        "Mean over standard deviation of daily returns, annualised, of the simulated long-short portfolio after "
        "costs. A single year has a standard error of about 1.",
        ("Sharpe",),
    ),
    Term("gross Sharpe", "The net Sharpe before costs."),
    Term(
        "decile Sharpe",
        "Annualised Sharpe ratio after costs of the plain decile portfolio: top against bottom decile, reset every "
        "session, every order filled. The simulated portfolio is nearer to what can be traded.",
        ("decile Sharpe, gross", "95% interval, decile Sharpe"),
    ),
    Term(
        "simulated portfolio",
        "Long-short deciles held session by session: orders fill at the open or close, not at a limit price or in a "
        "halt, short sales only where stock can be borrowed, and a held stock stays while it ranks well.",
    ),
    Term(
        "deflated Sharpe",
        "Probability that the Sharpe ratio is above what the best of so many worthless trials would reach by luck. "
        "Below 95% luck can explain it.",
        ("deflated",),
    ),
    Term("probabilistic Sharpe", "Probability that the true Sharpe ratio is above 0, with skewness and fat tails."),
    Term("Sortino", "As the Sharpe ratio, over the deviation of the losses alone."),
    Term("Calmar", "Return a year over the largest drawdown."),
    Term("active return a year", "Return a year over cash (long-short) or over the universe (long-only)."),
    Term("largest drawdown", "Largest fall from a high of the equity, of the notional of one leg."),
    Term(
        "turnover",
        "Share of the notional of one leg that is bought, and as much sold, a session.",
        ("turnover a session",),
    ),
    Term("break-even bps", "Cost a side in basis points at which the mean return after costs is 0."),
    Term("coverage", "Share of the stocks of the universe that have a score."),
    Term(
        "dispersion of scores", "Standard deviation of the scores over the stocks of a session, in units of the score."
    ),
    Term(
        "autocorrelation of scores", "Rank correlation of scores with those of the session before; low means turnover."
    ),
    Term(
        "oracle",
        "The best possible score on the sample market, from what was planted in it: no model can expect a higher "
        "rank IC.",
        ("expected oracle",),
    ),
    Term("ablation", "The model is trained again without one part, or with a control in its place, on the same data."),
    Term(
        "control graph",
        "A graph without the market's information, such as permuted edges: what it adds is not due to neighbours.",
        ("control - off", "on - control"),
    ),
    Term("sessions to decide", "Test sessions at which a gain of the size of the goal would be told from none."),
    Term("walk-forward", "The model is fitted anew before every test fold on what was known then."),
    Term(
        "calibration",
        "Share of outcomes below a predicted quantile less the quantile's level; 0 is calibrated.",
    ),
    Term("purge", "Sessions left out between the parts of the split, so that no label reaches into the next part."),
    Term(
        "basis points",
        "Hundredths of a percent; costs are charged on every side of a trade.",
        ("bps",),
    ),
)
"""Every term, in the order of the glossary."""

_BY_NAME = {name.lower(): term for term in TERMS for name in (term.name, *term.also)}


def meaning_of(words: str) -> str | None:
    """Return what a heading means, None for one that is no term; "net Sharpe, 10 bps" is found as "net Sharpe"."""
    found = _BY_NAME.get(words.lower()) or _BY_NAME.get(words.lower().partition(",")[0])
    return None if found is None else found.meaning


def glossary_page() -> str:
    """Return the glossary as a page of the documentation."""
    lines = [
        "# Terms",
        "",
        "After this page you can read every other page, and the report: the words that have one meaning throughout.",
        "Formulas stand in [metrics](metrics.md).",
        "",
        "| term | meaning |",
        "|---|---|",
        *(f"| {term.name} | {term.meaning} |" for term in sorted(TERMS, key=lambda term: term.name.lower())),
        "",
        "All ratios are fractions, never percent. NaN means absent, never zero.",
    ]
    return "\n".join(lines) + "\n"
