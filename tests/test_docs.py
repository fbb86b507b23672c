"""What README and docs name exists: settings, tests, files, links; the Python of the README runs."""

import re
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from omegaconf import DictConfig, OmegaConf

from gogooku_kedro.features.registry import features_page
from gogooku_kedro.metrics.daily import MEANS_OF_DAYS
from gogooku_kedro.validation import configuration_problems

ROOT = Path(__file__).parents[1]
GENERATED = ("features.md", "settings.md", "settings_errors.md")
API = sorted((ROOT / "docs" / "api").glob("*.md"))
EVERY_PAGE = sorted((ROOT / "docs").rglob("*.md"))
DOCS = [page for page in EVERY_PAGE if page not in API and page.name != "settings_errors.md"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "conf" / "README.md", *DOCS]
CHANGELOG = ROOT / "CHANGELOG.md"
WRITTEN = [page for page in [*PAGES, CHANGELOG, *API] if page.name not in GENERATED]
GAT_PAGE = ROOT / "docs" / "gat_configuration.md"
METRICS_PAGE = ROOT / "docs" / "metrics.md"
TOP_FOLDERS = ("src", "conf", "tests", "docs", "notebooks", "benchmarks")
ABSENT = "absent"  # stands for a key that is not written
SECTIONS = (
    *("ingestion", "features", "labels", "split", "graph", "model", "training", "evaluation"),
    *("walk_forward", "ablation", "tuning", "explanation", "jquants", "daily"),
)
PACKAGES = {"market", "labels", "features", "graph", "model", "training", "baselines", "metrics", "backtest", "report"}
EARLIER_WORDS = "arms?|books?|clairvoyants?|headlines?|hears?|level channels?|members?|peers?"
"""Words of earlier versions: variant, portfolio, oracle, key results, raw price channels, seed model, neighbours."""


def each(pages: list[Path]) -> pytest.MarkDecorator:
    """A test of every one of these pages."""
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


every_page, every_written_page = each(PAGES), each(WRITTEN)


def base_parameters() -> DictConfig:
    """The merged `conf/base/parameters*.yml`."""
    OmegaConf.register_new_resolver("runtime_params", lambda name, default=None: default, replace=True)
    files = sorted((ROOT / "conf" / "base").glob("parameters*.yml"))
    merged = OmegaConf.merge(*[OmegaConf.load(path) for path in files])
    assert isinstance(merged, DictConfig)
    return merged


@cache
def base_settings() -> frozenset[str]:
    """Dotted paths of every key and section."""

    def paths(tree, prefix=""):
        for name, value in tree.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from paths(value, f"{prefix}{name}.")

    return frozenset(paths(OmegaConf.to_container(base_parameters(), resolve=True)))


@cache
def test_functions() -> frozenset[str]:
    found = (re.findall(r"(?m)^\s*def (test_\w+)", path.read_text()) for path in (ROOT / "tests").rglob("*.py"))
    return frozenset(name for names in found for name in names)


test_functions.__test__ = False  # a helper, though its name says test


def code_of(page: Path) -> list[str]:
    """Everything between backticks on one line."""
    return re.findall(r"`([^`\n]+)`", page.read_text())


def settings_in(page: Path) -> set[str]:
    pattern = rf"(?:{'|'.join(SECTIONS)})(?:\.[a-z]\w*)+"
    named = {m for code in code_of(page) for m in re.findall(rf"(?<![\w./]){pattern}(?![\w/(])", code)}
    return {name for name in named if Path(name).suffix not in {".py", ".yml", ".md", ".json", ".csv"}}


def table_keys(page: Path, prefix: str) -> set[str]:
    """Keys that open a table row."""
    return set(re.findall(rf"(?m)^\| `({re.escape(prefix)}[\w.]+)`", page.read_text()))


@each([page for page in PAGES if page.name != "settings.md"])
def test_every_setting_that_is_named_exists(page):
    of_metrics_json = {"split.train", "split.valid", "split.test"} if page == METRICS_PAGE else set()
    misspelt_example = {"model.gat.head"} if page == GAT_PAGE else set()
    assert settings_in(page) - of_metrics_json - misspelt_example - base_settings() == set()


@pytest.mark.parametrize("section", ["model.gat.", "graph."])
def test_every_key_of_the_graph_has_its_row(section):
    sections = {path.rpartition(".")[0] for path in base_settings()}
    keys = {path for path in base_settings() if path.startswith(section)} - sections
    assert keys
    assert table_keys(GAT_PAGE, section) >= keys
    assert table_keys(GAT_PAGE, section) <= base_settings()


def test_the_values_in_base_are_those_of_the_page():
    settings = OmegaConf.merge(
        OmegaConf.load(ROOT / "conf/base/parameters.yml"),
        OmegaConf.load(ROOT / "conf/base/parameters_graph.yml"),
    )
    rows = re.findall(r"(?m)^\| `((?:model\.gat|graph)\.[\w.]+)` \|.*\| ([^|]+) \|$", GAT_PAGE.read_text())
    said = {key: value.strip("` ") for key, value in rows}
    assert said.pop("model.gat.edge_attributes") == "the first four"
    assert said.pop("graph.cache_dir") == "data/03_primary/graph_cache"
    assert len(said) >= 28
    for key, value in said.items():
        written = OmegaConf.select(settings, key)
        assert value == {"True": "true", "False": "false", "None": "null"}.get(str(written), str(written)), key


def test_the_legal_words_are_those_of_the_settings():
    from gogooku_kedro.params import GatParams, GraphParams

    rows = dict(re.findall(r"(?m)^\| `([\w.]+)` \|.*\| ([^|]+) \| [^|]+ \|$", GAT_PAGE.read_text()))
    for key, words in {
        "model.gat.conv": get_args(GatParams.model_fields["conv"].annotation),
        "graph.residual": get_args(GraphParams.model_fields["residual"].annotation),
        "graph.correlation": get_args(GraphParams.model_fields["correlation"].annotation),
        "graph.join": get_args(GraphParams.model_fields["join"].annotation),
    }.items():
        assert set(re.findall(r"`(\w+)`", rows[key])) == set(words), key


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"gat": {"regularization": None}}},
        {"model": {"gat": {"regularization": {"edge_weight_penalty": 0.0}}}},
        {"model": {"gat": {"use_in_training": False}}},
        {"model": {"gat": {"learned_graph": {"enabled": True, "penalty": 0.0}}}},
        {"model": {"gat": {"heads": 5}}},
        {"graph": {"min_observations": 200}},
        {"graph": {"residual": "pca", "pca_factors": 100}},
        {"graph": {"max_degree": 4}},
        {"graph": {"checks": {"degree_min": 50}}},
        {"model": {"gat": {"head": 4}}},
        {"model": {"gat": {"conv": ABSENT}}},
        {"model": {"gat": {"edge_dropout": 1.5}}},
        {"modell": {}},
    ],
    ids=str,
)
def test_a_wrong_value_says_what_the_page_says(change):
    merged = OmegaConf.to_container(OmegaConf.merge(base_parameters(), change), resolve=True)
    gat = merged["model"]["gat"]
    merged["model"]["gat"] = {key: value for key, value in gat.items() if value != ABSENT}
    (problem,) = configuration_problems(merged)
    messages = re.findall(r"(?m)^\|[^|]+\| `([^`]+)`[^|]* \|$", GAT_PAGE.read_text())
    assert any(all(piece in problem for piece in m.split("…")) for m in messages), problem


@every_page
def test_every_test_that_is_named_exists(page):
    named = set(re.findall(r"(?<![\w.])test_\w+", " ".join(code_of(page))))  # after a dot it is a setting
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert named - test_functions() - modules == set()


@every_page
def test_a_test_stands_in_the_file_that_is_named(page):
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page.read_text()):
        assert f"def {name}(" in (ROOT / file).read_text()


@every_page
def test_every_file_that_is_named_exists(page):
    named = {m for c in code_of(page) for m in re.findall(rf"(?<![\w./])(?:{'|'.join(TOP_FOLDERS)})/[\w./*-]+", c)}
    theirs = {path for path in named if path.startswith(("conf/local/", "conf/tuned"))}  # the user's own files
    missing = {path for path in named - theirs if not list(ROOT.glob(path.rstrip("./")))}
    assert missing == set()


@every_written_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link.partition("#")[0] for link in links if "://" not in link]
    missing = [link for link in local if link and not (page.parent / link).exists()]
    assert missing == []
    if page in DOCS:
        docs = ROOT / "docs"
        outside = [link for link in local if not (page.parent / link).resolve().is_relative_to(docs)]
        assert outside == [], "mkdocs builds docs/ alone"


@every_written_page
def test_lines_of_prose_are_at_most_120_characters(page):
    prose = [line for line in page.read_text().splitlines() if not line.startswith("|") and "](http" not in line]
    assert [line for line in prose if len(line) > 120] == []


@every_page
def test_one_thing_has_one_word(page):
    prose = re.sub(r"`[^`]+`|(?m:^    .*$)|\]\([^)]*\)", "", page.read_text())
    generated = page.name in GENERATED
    assert generated or re.findall(rf"(?i)\b(?:{EARLIER_WORDS})\b", prose) == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in [*DOCS, *API]]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


@each(EVERY_PAGE)
def test_a_page_says_first_what_its_reader_can_do_after_it(page):
    beginning = page.read_text(encoding="utf-8").partition("\n## ")[0]
    assert re.search(r"(?m)^After this page you can ", beginning), "write: After this page you can …"


def test_every_package_has_its_api_page():
    shown = {page.stem: re.findall(r"(?m)^::: gogooku_kedro\.(\w+)$", page.read_text()) for page in API}
    assert shown == {package: [package] for package in PACKAGES}
    assert [
        package for package in PACKAGES if not (ROOT / "src/gogooku_kedro" / package / "__init__.py").exists()
    ] == []


def test_the_python_of_the_readme_runs():
    (example,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "README.md").read_text())
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    figures = names["found"].metrics["test"]["reversal_3d"]["5d"]
    assert figures["days"] > 150
    assert abs(figures["rank_ic"]) < 0.05  # reversal finds little in this market


def test_every_number_of_metrics_json_is_defined():
    source = (ROOT / "src/gogooku_kedro/metrics/daily.py").read_text()
    function = source.split("def summarise_metrics(")[1].split("\ndef ")[0]
    numbers = set(re.findall(r'(?m)^\s+"(\w+)": ', function))
    assert {"rank_ic", "sharpe_net_ci", "days"} <= numbers
    numbers |= set(MEANS_OF_DAYS)
    described = set(re.findall(r"(?m)^\| `(\w+)` \|", METRICS_PAGE.read_text()))
    assert numbers - described == set()


def test_the_parameter_counts_are_those_of_the_network():
    from gogooku_kedro.model import ATFTGATFAN
    from gogooku_kedro.params import ModelParams

    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"(?m)^\| \**([\w, ]+?)\** \| \**([\d,]+)\** \| \**([\d,]+)\** \|$", page)
    said = {name: [int(n.replace(",", "")) for n in counts] for name, *counts in rows}
    blocks = {
        "market gate": ["market_gate"],
        "variable selection": ["vsn"],
        "attention over time": ["temporal"],
        "FAN, SAN and their gate": ["levels"],
        "graph attention": ["gat"],
        "fusion": ["fusion"],
        "trunk": ["trunk"],
        "heads and neutralisation": ["score_head", "quantile_head", "neutralise"],
    }
    base = base_parameters()["model"]
    production = OmegaConf.merge(base, OmegaConf.load(ROOT / "conf/gat_production/parameters.yml")["model"])
    for column, (settings, n_features) in enumerate([(base, 291), (production, 182)]):
        params = ModelParams.model_validate(OmegaConf.to_container(settings))
        model = ATFTGATFAN(params, n_features, n_channels=5, n_context=35 if params.market_gate.enabled else 0)
        size = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
        for block, parts in blocks.items():
            assert said[block][column] == sum(size.get(part, 0) for part in parts), block
        assert said["total"][column] == model.n_parameters()


def test_every_stage_has_the_nodes_that_the_page_names():
    from gogooku_kedro.pipeline_registry import register_pipelines

    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `(\w+)`(?:, beside the flow)? \| ((?:`\w+`(?:, )?)+) \| [^|]+ \|$", page))
    pipelines = register_pipelines()
    assert set(rows) == set(pipelines) - {"data", "__default__"}
    for stage, named in rows.items():
        nodes = {node.name.rpartition(".")[2] for node in pipelines[stage].nodes}
        assert set(re.findall(r"`(\w+)`", named)) <= nodes, stage
        elsewhere = {name for other, names in rows.items() if other != stage for name in re.findall(r"`(\w+)`", names)}
        assert nodes - elsewhere <= set(re.findall(r"`(\w+)`", named)), stage


def test_the_page_of_terms_is_the_glossary_of_the_report():
    from gogooku_kedro.report.glossary import glossary_page

    page = (ROOT / "docs" / "terms.md").read_text(encoding="utf-8")
    assert page == glossary_page(), "docs/terms.md is out of date: run `kedro document-terms`"


def test_the_tables_of_data_rules_are_those_of_the_code():
    from gogooku_kedro.market.issue_rules import RULES, rules_page

    page = (ROOT / "docs" / "data_rules.md").read_text(encoding="utf-8")
    assert page == rules_page(page), "docs/data_rules.md is out of date: run `kedro document-rules`"
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")]
    assert sorted(name for names in rows for name in names) == sorted(RULES)
    emptied = page.replace("`repeated_bar`", "`repeated`")
    assert rules_page(emptied) == page


@pytest.mark.parametrize("name", ["kedro_viz.png", "report.png"])
def test_pictures_are_there_and_small(name):
    assert 10_000 < (ROOT / "docs" / "images" / name).stat().st_size < 400_000


def test_the_page_of_features_is_what_the_registry_says():
    written = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert written == features_page(), "docs/features.md is out of date: run `kedro document-features`"
