"""Tests `mlops site` on a project with real releases, and the charts and plots of its pages."""

import json
import re
from hashlib import md5
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser

import instant_project
import tiny_pipeline
from browser import NARROW, WIDE, fits, markup_errors, opened, violations
from mlops import trials
from mlops.cli.app import app
from mlops.errors import UNPRINTABLE, MlopsError, Refused
from mlops.metrics import METRICS
from mlops.release.data import dvc, dvc_settings
from mlops.release.history.git import Git
from mlops.release.look import card, card_lines, monitor_reports, tracker
from mlops.site import charts, judged, pages, plot_files, searches
from mlops.site.charts import Axis, Point
from mlops.site.plot_files import Bars, Cache, Confusion
from mlops.trials import Search, Trial

MARKS = "\N{ESCAPE}[2J\N{RIGHT-TO-LEFT OVERRIDE}\N{RIGHT-TO-LEFT MARK}"
HOSTILE = f"<script>alert(1)</script> {MARKS} \"'&|*_`[x](y)"
SHOWN = r"<script>alert(1)</script> \x1b[2J\u202e\u200f " + "\"'&|*_`[x](y)"
BLOCKS = (
    *("heading", "paragraph", "bullet_list", "list_item"),
    *("table", "thead", "tbody", "tr", "th", "td"),
)
EMPTY = {"meta", "link", "input", "br", "circle", "path", "rect", "polyline"}


class Page(HTMLParser):
    """The links, identifiers, text and names of the elements of a page, all of which are closed."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        assert self._open == [], file

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert name in ("href", "src", "id") or not (value or "").startswith("http"), (
                name,
                value,
            )
            assert not name.startswith("on"), name
            assert name != "style"
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def written(project: Path, folder: Path) -> dict[str, Page]:
    """Writes the site, checks that it is closed in itself, and returns its pages by path."""
    pages.write_site(Git(project), folder)
    found = {file.relative_to(folder).as_posix(): Page(file) for file in folder.rglob("*.html")}
    for name, page in found.items():
        assert len(page.ids) == len({*page.ids}), name
        assert page.tags.count("script") <= 2, name
        for link in page.links:
            path, _, anchor = link.partition("#")
            target = (folder / name).parent / path if path else folder / name
            assert target.resolve().is_relative_to(folder.resolve()), link
            assert target.is_file(), f"{name}: {link}"
            assert not anchor or anchor in found.get(path, page).ids
    return found


@pytest.fixture
def project(twice_in_staging: Path) -> Path:
    """A project with two versions in staging, a refusal, plots, and hostile texts wherever there are any."""
    git = Git(twice_in_staging)
    instant_project.set_quality(twice_in_staging, 0.5)
    with pytest.raises(MlopsError, match="staging refuses"):
        instant_project.promote(twice_in_staging, "staging")
    params = twice_in_staging / "params.yaml"
    params.write_text(f"quality: 0.96\nabout:\n  purpose: {json.dumps(HOSTILE)}\n")
    (twice_in_staging / "reports/subgroups.csv").write_text(
        f'group,rows,accuracy\n"{HOSTILE.replace(chr(34), "")}",40,0.7\nb,50,0.8\nfew,3,0.1\n'
    )
    tiny_pipeline.age(params)
    git.run("config", "user.name", HOSTILE)
    instant_project.reproduce(twice_in_staging, HOSTILE)
    instant_project.promote(twice_in_staging, "staging")
    return twice_in_staging


def test_the_site_says_what_there_is_and_foreign_texts_stay_text(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new/site"
    found = written(project, folder)
    start, models, history = (found[f"{name}.html"].text for name in ("index", "models", "history"))
    latest = found["models/v1.2.0.html"].text
    assert {"models/v1.0.0.html", "models/v1.1.0.html"} < {*found}
    assert "prod holds no model yet: mlops promote prod" in " ".join(start.split())
    assert "✗ refused" in start
    assert "staging refuses" in history
    assert "quality: 0.95 -> 0.96" in models
    assert "quality: 0.95 -> 0.96" in latest
    assert "in staging" in latest
    assert SHOWN in latest
    assert "Limitsnot stated" in latest.replace("\n", "")
    assert SHOWN.replace('"', "") + ": accuracy 0.7000 (40 rows)" in start
    assert "accuracy 0.9500 → 0.9600: better by 0.0100" in " ".join(start.split())
    assert {"models/v1.2.0.html#ask", "models/v1.2.0.html#made"} < {*found["index.html"].links}
    for page in found.values():
        assert not UNPRINTABLE.search(page.text)
    (folder / "models/of-an-older-site.html").write_text("")
    assert "models/of-an-older-site.html" not in written(project, folder)
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


def test_each_kind_of_page_is_valid_accessible_and_no_wider_than_a_phone(
    project: Path, tmp_path: Path, chromium: Browser
) -> None:
    file = monitor_reports.report_file(Git(project), "staging")
    file.write_text(json.dumps(monitor_report()))
    site = tmp_path / "site"
    found = written(project, site)
    for name in {name for name in found if "/" not in name} | {"models/v1.2.0.html"}:
        assert markup_errors((site / name).read_text(encoding="utf-8")) == [], name
        for width, dark in ((NARROW, True), (WIDE, False)):
            with opened(chromium, f"{site.as_uri()}/", name, width=width, dark=dark) as page:
                assert violations(page) == [], (name, width)
                assert fits(page), (name, width)


def test_what_can_not_be_read_is_said_and_costs_no_other_page(
    project: Path, tmp_path: Path
) -> None:
    git = Git(project)
    for file, content in (
        ("reports/metrics.json", '{"test": {"accuracy": "high"}}'),
        ("reports/gate.json", "["),
        ("environments/dev.yaml", "gate: {bounds: 5}"),
        ("environments/staging.yaml", "gate: {bounds: {accuracy: {min: .inf, max: high}}}"),
        ("data/raw.dvc", "outs: 5"),
        ("params.yaml", "about: [\n"),
    ):
        (project / file).write_text(content)
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(
        re.sub(r"(path: models/model.onnx\n +hash: md5\n +md5: )\w", r"\g<1>0", lock)
    )
    git.run("commit", "--quiet", "--all", "--message", "Break")
    found = written(project, tmp_path / "site")
    for page in ("models.html", "index.html"):
        assert "test.accuracy is 'high' instead of a number" in found[page].text
    git.run("branch", "--force", "staging", "dev")
    broken = git.run("cat-file", "tag", "staging/0001").replace('"version"', '"edition"')
    git.run("update-ref", "refs/tags/staging/0001", git.run("mktag", given=broken))
    assert written(project, tmp_path / "site")


def test_names_of_metrics_stay_text_wherever_they_are_shown(
    in_staging: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(in_staging)
    instant_project.set_quality(in_staging, 0.95)
    name = f"{HOSTILE}\0\x7f\x9b\N{LINE SEPARATOR}"
    report = {"test": {"accuracy": 0.95, name: 0.5}}
    metrics, lock = in_staging / "reports/metrics.json", in_staging / "dvc.lock"
    recorded = md5(metrics.read_bytes(), usedforsecurity=False).hexdigest()
    metrics.write_text(json.dumps(report))
    made = md5(metrics.read_bytes(), usedforsecurity=False).hexdigest()
    lock.write_text(lock.read_text().replace(recorded, made))
    Git(in_staging).run("commit", "--quiet", "--all", "--amend", "--no-edit")
    found = written(in_staging, tmp_path / "site")
    for page in found.values():
        assert not UNPRINTABLE.search(page.text)
    (facts,) = re.findall(
        r'<script type="application/json" id="facts">(.*?)</script>',
        (tmp_path / "site/compare.html").read_text(encoding="utf-8"),
    )
    assert not UNPRINTABLE.search(json.dumps(json.loads(facts), ensure_ascii=False))
    for words in (["show", "dev"], ["compare", "staging", "dev"]):
        app(words, standalone_mode=False)
        text = capsys.readouterr().out
        assert "<script>" in text
        assert not UNPRINTABLE.search(text)
        app([*words, "--format", "json"], standalone_mode=False)
        text = capsys.readouterr().out
        assert text.isascii()
        json.loads(text)


def test_without_a_folder_it_is_in_the_project_wherever_one_stands(
    in_staging: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = in_staging / "science"
    monkeypatch.chdir(place)
    before = {*place.iterdir()}
    app(["site"], standalone_mode=False)
    assert capsys.readouterr().out == "wrote ../site/index.html\n"
    assert (in_staging / "site/index.html").exists()
    assert {*place.iterdir()} == before
    app(["site", "mine"], standalone_mode=False)
    assert capsys.readouterr().out == "wrote mine/index.html\n"
    assert (place / "mine/index.html").exists()


def monitor_report() -> dict[str, Any]:
    """Returns a report of `mlops monitor` with hostile names and a column that drifted."""
    drift = {
        "p": 0.0, "rows": 9, "bins": [HOSTILE, "(missing)"], "training": [1.0, 0.0],
        "scored": [0.5, 0.5], "unknown": None, "missing": 1,
    }  # fmt: skip
    sizes = {
        "predictions of y": (0.01, "no drift"),
        HOSTILE: (2.0, "drift"),
        "quiet": (0.05, "no drift"),
    }
    return {
        "environment": "staging", "version": HOSTILE, "made": "2026-11-27T05:00:00Z",
        "since": "2026-11-20T05:00:00Z", "verdict": "OUT OF BOUNDS (1)", "exceeded": [HOSTILE],
        "undecided": [], "max_psi": 0.25, "batches": 2, "rows": 9, "rejected": 0, "other_batches": 1,
        "drifts": [
            {"column": name, "psi": psi, "verdict": said, **drift} for name, (psi, said) in sizes.items()
        ],
        "days": [{"day": f"2026-11-2{n}", "rows": 4, "psi": {HOSTILE: n / 10}} for n in range(3)],
        "live": [], "labels": "no labels are known",
    }  # fmt: skip


def test_the_latest_report_of_the_monitor_is_a_page(in_staging: Path, tmp_path: Path) -> None:
    git = Git(in_staging)
    assert "Nothing was monitored" in written(in_staging, tmp_path / "site")["drift.html"].text
    report = monitor_report()
    file = monitor_reports.report_file(git, "staging")
    file.write_text(json.dumps(report))
    found = written(in_staging, tmp_path / "site")
    page = found["drift.html"]
    assert "✗ Out of bounds (1)" in page.text
    assert page.text.count(SHOWN) > 3
    assert "1 column that moved less" in page.text
    assert "2026-11-22: PSI 0.200 of 4 rows" in page.text
    assert "drift.html#staging" in found["index.html"].links
    lacking = json.dumps({"verdict": report["verdict"], "environment": "staging"})
    uneven = json.dumps(report | {"drifts": [report["drifts"][0] | {"scored": []}]})
    for broken in ("{", "[]", lacking, uneven):
        file.write_text(broken)
        found = written(in_staging, tmp_path / "site")
        assert found["drift.html"].text.count("`mlops monitor` writes it again") == 1
        assert "The report can't be read" in found["index.html"].text


def test_a_folder_that_holds_anything_else_stays_as_it_is(in_staging: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    (tmp_path / "mine/site.css").write_text("of another site")
    for place in ("mine", "mine/thesis.txt"):
        with pytest.raises(Refused, match="holds something else than a site"):
            pages.write_site(Git(in_staging), tmp_path / place)
    with pytest.raises(MlopsError, match="the site can't be written: "):
        pages.write_site(Git(in_staging), tmp_path / "mine/thesis.txt/site")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_a_card_is_the_same_as_json_and_as_markdown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = card.card_of(Git(project), "v1.2.0")
    monkeypatch.chdir(project)

    def printed(*command: str) -> Any:
        capsys.readouterr()
        app([*command, "--format", "json"], standalone_mode=False)
        text = capsys.readouterr().out
        assert text.isascii()
        return json.loads(text)

    read = printed("show", "v1.2.0")
    assert [each["version"] for each in printed("status")] == [None, "v1.2.0", None]
    assert printed("history", "staging")[2]["what"] == "refused"
    assert printed("compare", "v1.1.0", "v1.2.0")["parameters"][0].startswith("about.purpose: ")
    assert read["metrics"]["test"]["accuracy"] == 0.96
    assert read["about"] == {"purpose": HOSTILE}
    assert [stay["until"] for stay in read["stays"]] == [None]
    assert read["running"] == ["dev", "staging"]
    assert printed("show", "v1.1.0")["running"] == []
    markdown = pages.card_markdown(Git(project), found)
    assert "\nNow in dev, staging.\n" in markdown
    assert "| Limits | not stated |" in markdown
    assert r"\<script\>alert(1)\</script\> \\x1b\[2J\\u202e" in markdown
    assert "## What changed since v1.1.0\n\n- quality: 0.95 -\\> 0.96\n" in markdown
    assert "| Baseline | v1.1.0 | Validation rows |\n|---|---:|---|---:|---:|---:|\n" in markdown
    assert "| accuracy | 0.9600 | - | - | 0.9500 | - |" in markdown
    assert (
        "## Beside the model before, in staging\n\n| Metric | Champion | This model |" in markdown
    )
    assert "\n| accuracy | 0.9500 | 0.9600 | better by 0.0100 (" in markdown
    assert {each.type for each in MarkdownIt().enable("table").parse(markdown)} == {
        *(f"{kind}_{end}" for kind in BLOCKS for end in ("open", "close")),
        *("inline", "fence"),
    }
    first = pages.card_markdown(Git(project), card.card_of(Git(project), "v1.0.0"))
    assert "What changed" not in first
    assert "| Baseline | Validation rows |\n" in first
    assert "staging/0003: accuracy 0.95 -> 0.96, advantage" in "\n".join(
        card_lines.card_lines(found)
    )
    assert card.card_of(Git(project), "dev").version is None


def searched(architecture: str) -> tuple[Search, list[Trial]]:
    search = Search("log_loss", "90 rows", (architecture,), {"target": "y"}, {"seed": 1}, {})
    return search, [
        Trial(1, architecture, {"leaves": 9}, "done", (0.5,), 1.0),
        Trial(2, architecture, {"leaves": 5}, "stopped", (0.9,), 1.0),
        Trial(3, architecture, {"leaves": 7}, "done", (0.25,), 1.0),
        Trial(4, architecture, {"leaves": 2}, "failed", (), 1.0, HOSTILE),
    ]


def test_trials_stand_on_their_own_page_and_never_among_the_models(
    in_staging: Path, tmp_path: Path
) -> None:
    assert "searches.html" not in written(in_staging, tmp_path / "site")
    folder = in_staging / trials.FOLDER
    trials.write_search(folder / "20270101-000000.jsonl", *searched(HOSTILE))
    (folder / "20270102-000000.jsonl").write_text("{}\n")
    found = written(in_staging, tmp_path / "site")
    page = found["searches.html"].text
    assert "20270102-000000.jsonl is not the record of a search" in page
    assert SHOWN in page
    assert page.index("leaves 7") < page.index("leaves 9") < page.index("leaves 5")
    assert "log loss on 90 rows" in page
    assert "leaves 7" not in found["models.html"].text
    assert "searches.html" in found["index.html"].links


def test_a_trial_names_the_models_that_were_made_with_its_parameters(tmp_path: Path) -> None:
    search, found = searched("forest")
    trials.write_search(tmp_path / trials.FOLDER / "s.jsonl", search, found)
    numbers = tracker.Numbers()
    rows = [tracker.trial_row("s", search, found[at], numbers) for at in (2, 0)]
    entries: list[Any] = [SimpleNamespace(row=row) for row in (rows[0], rows[1], rows[0])]
    ((name, (read, _)),) = searches.read_searches(tmp_path, entries, numbers)
    assert (name, read and read.count) == ("s", 4)
    assert read
    assert [(each.trial.number, [*each.models]) for each in read.tried] == [
        (3, [entries[0], entries[2]]), (1, [entries[1]]), (2, []), (4, []),
    ]  # fmt: skip


def points(*values: float) -> list[Point]:
    return [Point(f"v1.{n}.0", "", "", True, value) for n, value in enumerate(values)]


def test_a_scale_holds_its_values_and_is_never_so_short_that_chance_looks_large() -> None:
    for values in ([0.8579, 0.8581], [3.0], [0.0], [-1e-9, 2e-9], [1e9, 1e9 + 1], [5.5, 12.0]):
        axis = Axis.over(values)
        assert axis.low <= min(values) <= max(values) <= axis.high
        assert axis.high - axis.low >= 0.09 * max(map(abs, values))
        assert 2 <= len(axis.ticks) <= 8
        assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    impossible = charts.model_chart("accuracy", "", points(5, 5), {}, (0, 1))
    assert impossible.ticks
    chart = charts.model_chart(
        "accuracy", "", points(0.858, 0.86), {"staging": 0.84, "prod": 0.841}, (0, 1)
    )
    names = [level.text_y for level in chart.levels]
    assert names[1] - names[0] >= charts.LINE
    assert [level.name for level in chart.levels] == ["prod", "staging"]
    many = charts.model_chart("accuracy", "", points(*[0.5] * 100), {}, (0, 1))
    named = [dot.x for dot in many.dots if dot.named]
    assert min(b - a for a, b in pairwise(named)) >= charts.NAME


def test_each_kind_of_file_has_its_plot_and_what_is_no_table_has_none() -> None:
    rows = "".join(f"{n / 500},{n / 1000}\n" for n in range(501))
    files = {
        "roc.csv": f"false_positive_rate,true_positive_rate\n{rows}".encode(),
        "importance.csv": b"column,drop_in_roc_auc\nage,0.05\n<b>,-0.05\n",
        "confusion.csv": b"actual,predicted\n" + b"no,no\n" * 3 + b"no,yes\nyes,yes\n",
        "broken.csv": b"\xff\xfe,\n1\n",
        "endless.csv": b"column,drop\nage,inf\n",
        "huge.csv": b"a,b\n" + b"9" * 200_000 + b",1\n",
        "empty.csv": b"",
        "picture.png": b"",
    }
    roc, importance, confusion = plot_files.plots_of(files)
    assert isinstance(roc, charts.Curve)
    assert roc.diagonal
    assert len(roc.line.split()) == charts.CURVE + 1
    assert isinstance(importance, Bars)
    assert [(bar.name, bar.start, bar.end) for bar in importance.bars] == [
        ("age", 50, 100),
        ("<b>", 0, 50),
    ]
    assert isinstance(confusion, Confusion)
    assert confusion.rows == [("no", [(3, 0.75), (1, 0.25)]), ("yes", [(0, 0.0), (1, 1.0)])]


def test_a_folder_of_plots_is_read_from_the_cache_of_dvc(on_dev: Path) -> None:
    with dvc.open_repo(on_dev) as repo:
        (on_dev / "plots").mkdir()
        (on_dev / "plots/roc.csv").write_text("a,b\n1,2\n")
        (stage,) = repo.add("plots")
        md5 = stage.outs[0].hash_info.value
    cache = Cache(dvc_settings.cache_folder(on_dev))
    damaged = cache.folder / "files/md5/00/damaged.dir"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_text("{")
    assert cache.read_folder("00damaged.dir") == {}
    assert cache.read_folder(md5) == {"roc.csv": b"a,b\n1,2\n"}
    assert cache.read_folder("0" * 32 + ".dir") == cache.read_folder(None) == {}


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.00003, "mae", "3e-05"),
        (123456.7, "rmse", "123457"),
        (0.86493, "accuracy", "0.8649"),
        (6.327, "false_positive_percent", "6.33 %"),
        (None, "false_positive_percent", "-"),
        (6526.0, "rows", "6,526"),
        (12, "accuracy", "12"),
        ("a text", "accuracy", "a text"),
        (True, "accuracy", "True"),
    ],
)
def test_a_metric_is_written_as_in_the_tracker_with_its_unit(
    value: object, metric: str, text: str
) -> None:
    assert judged.metric_text(value, metric) == text
    assert tracker.metric_text(value, metric) == text.removesuffix(" %")


def test_a_metric_has_the_limits_of_its_definition() -> None:
    for name, metric in (pair for each in METRICS.values() for pair in each.items()):
        assert judged.limits_of(name) == (metric.least, metric.greatest), name


def advantage(gain: float, *interval: float) -> str:
    return judged.advantage_text({"advantage": gain, "interval": [*interval]}, "accuracy")


def test_an_advantage_is_said_in_words() -> None:
    assert advantage(0.02, 0.01, 0.03) == "better by 0.0200 (0.0100 to 0.0300)"
    assert advantage(-0.02, -0.03, -0.01) == "worse by 0.0200 (0.0100 to 0.0300)"
    assert advantage(0.01, -0.01, 0.03).endswith(
        "(0.0100 worse to 0.0300 better), which chance can explain"
    )
    assert advantage(0) == "equal"
