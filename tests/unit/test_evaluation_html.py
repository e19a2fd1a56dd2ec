"""``report.html`` as a file: what stands in it, that it loads nothing, and that no text of others becomes markup."""

import argparse
import base64
import hashlib
import itertools
import json
import re
import zipfile
from html.parser import HTMLParser

import pandas as pd
import pytest
from page_rows import HOSTILE, answers, hostile_rows, write_rows
from wheel_build import build_wheel

from personadual.evaluation.cli import add_report_arguments, run_report
from personadual.evaluation.columns import ALL
from personadual.evaluation.html.page import render_page
from personadual.evaluation.report import Report, read_report
from personadual.evaluation.summary import lookup
from personadual.evaluation.text import number

VOID = {"meta", "br", "img", "input", "link", "circle", "path", "rect"}
LOADING = {"src", "srcset", "href", "data", "action", "background", "poster", "xlink:href", "formaction", "srcdoc"}


class Page(HTMLParser):
    """A page as a list of elements, their text, and tables; it fails on tags that don't match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.tables, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag == "table":
            self.tables.append({"caption": "", "head": [], "rows": []})
        elif tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("th", "td"):
            self.tables[-1]["rows"][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        where = self.open[-1] if self.open else None
        self.texts[where] = self.texts.get(where, "") + data
        if "caption" in self.open:
            self.tables[-1]["caption"] += data
        elif {"th", "td"} & set(self.open):
            self.tables[-1]["rows"][-1][-1] += " " + data.strip()

    def table(self, caption):
        """Rows of the one table with this caption, its head first, spaces as one."""
        (found,) = (table for table in self.tables if table["caption"].startswith(caption))
        return [[" ".join(cell.split()) for cell in cells] for cells in found["rows"]]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def report_of(rows, title="A report", **more):
    models = list(dict.fromkeys((entry["model"], entry["seed"]) for entry in rows))
    told = [
        {"model": model, "seed": seed, "items": 1, "answers": 1, "settings": {}, "sessions": []}
        for model, seed in models
    ]
    return Report(title, pd.DataFrame(rows), told, **more)


@pytest.fixture(scope="module")
def report():
    return report_of(answers("old", 4, questions=24) + answers("new", 9, questions=24))


@pytest.fixture(scope="module")
def page(report):
    return Page(render_page(report))


def test_page_loads_nothing_and_has_no_handlers(page):
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "image", "use", "foreignobject")
        assert "style" not in attributes and not [name for name in attributes if name.startswith("on")]
        assert all(attributes[name].startswith("#") for name in LOADING & set(attributes))
    assert sum(tag == "script" for tag, _ in page.elements) == sum(tag == "style" for tag, _ in page.elements) == 1


def test_policy_names_the_style_and_the_script_of_the_page(report):
    text = render_page(report)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#39;none&#39;;") and "unsafe" not in policy and "http" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy
    assert not re.search(r"url\(|@import|https?:", text.replace("http-equiv", ""))


def test_page_is_accessible_by_its_markup(page):
    assert ("html", {"lang": "en"}) in page.elements
    assert len(page.ids()) == len(set(page.ids()))
    for tag, attributes in page.elements:
        named = attributes.get("aria-labelledby", "").split()
        assert set(named) <= set(page.ids())
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "svg":
            assert named or attributes["aria-hidden"] == "true"
        if tag == "a":
            assert attributes["href"][1:] in page.ids()
    assert all(table["caption"] for table in page.tables)
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_cells_hold_the_numbers_of_the_report_in_the_order_of_the_conditions(report, page):
    rows = page.table("Expected mode-selection error")
    assert [cell.split()[0] for cell in rows[0]] == [
        "model", "none", "unaligned", "aligned", "conflicting", "personal", "factual", "all"
    ]  # fmt: skip
    assert rows[0][1] == "none n = 24" and [cells[0] for cells in rows[1:]] == ["old", "new"]
    found = lookup(report.summary, model="new", condition="factual", measure="selection_error")
    assert rows[2][6] == f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"
    accuracy = page.table("Accuracy, mode chosen freely and forced")
    assert [cells[:2] for cells in accuracy[1:4]] == [
        ["old", "free"], ["old", "forced general"], ["old", "forced personalized"]
    ]  # fmt: skip
    assert accuracy[2][2].startswith("1.00") and accuracy[3][2].startswith("0.00")
    gain = next(e for e in report.effects.to_dict("records") if e["effect"] == "aligned_gain" and e["mode"] == "free")
    shown = page.table("Interference and aligned gain")
    assert shown[0][-1] == "aligned gain n = 24" and shown[1][-1].startswith(number(gain["value"], signed=True))


def test_n_stands_in_the_cells_where_it_differs():
    rows = answers("a", 5) + [entry for entry in answers("b", 5) if entry["item"] >= 6]
    table = Page(render_page(report_of(rows))).table("Hybrid Accuracy")
    assert table[0][1] == "none n differs" and table[1][1].endswith("n = 8") and table[2][1].endswith("n = 7")


def test_comparisons_and_verdicts_are_told(report, page):
    rows = page.table("Over groups of items")
    assert rows[0][6:8] == ["p", "p adjusted"] and rows[1][0] == "old → new"
    first = report.comparisons.iloc[0]
    assert rows[1][2] == first["condition"] and rows[1][5].startswith(number(first["difference"], signed=True))
    text = render_page(report)
    for verdict in report.verdicts:
        kind = verdict["verdict"].replace(" ", "-")
        assert re.search(rf'<dt>{verdict["model"]} <span class="badge w-{kind}">{verdict["verdict"]}</span>', text)


def test_many_models_fold_the_comparisons_over_groups():
    rows = [entry for index in range(6) for entry in answers(f"m{index}", index, questions=3)]
    shown = Page(render_page(report_of(rows)))
    (table,) = (t for t in shown.tables if t["caption"] == "Over all items" and len(t["rows"]) == 1 + 5 * 6)
    assert {" ".join(cells[2].split()) for cells in table["rows"][1:]} == {ALL}


def test_seeds_sources_and_derived_conditions_have_their_tables():
    rows = [entry for seed in range(3) for entry in answers("m", 4 + seed, questions=10, seed=seed)]
    rows += [entry | {"model": "other"} for entry in rows]
    rows = [entry | {"data_source": f"s{entry['item'] % 2}"} for entry in rows]
    rows += [
        entry | {"item": 1000 + entry["item"], "base_item": entry["item"], "condition": "orders_personalized"}
        for entry in rows
        if entry["condition"] == "unaligned"
    ]
    shown = Page(render_page(report_of(rows)))
    assert [cell.split()[0] for cell in shown.table("Accuracy, mode")[0]][-3:] == [
        "factual",
        ALL,
        "orders_personalized",
    ]
    assert {cells[0] for cells in shown.table("Accuracy per data source")[1:]} == {"s0", "s1"}
    captions = [table["caption"] for table in shown.tables]
    assert "Per condition and group" in captions and shown.table("Further effects")[0][-1].startswith("cost")
    assert "order obeyed, personalized" in " ".join(shown.table("Further effects")[0])


def test_one_model_alone_has_no_comparisons():
    shown = Page(render_page(report_of(answers("only", 5))))
    assert "comparisons" not in shown.ids() and "results" in shown.ids() and "f-differ" not in shown.ids()


def test_page_is_the_same_whenever_the_rows_are(report):
    assert render_page(report) == render_page(report_of(report.rows.to_dict("records")))


def test_no_text_of_others_becomes_markup():
    rows = hostile_rows() + hostile_rows("\"><img src=x onerror=alert(1)>\u202e'")
    told = {
        "settings": {HOSTILE: HOSTILE, "n": {"deep": [HOSTILE]}},
        "sessions": [{"command": HOSTILE, HOSTILE: 1}, {"command": [HOSTILE, "b"]}],
    }
    report = report_of(rows, title=HOSTILE, extras={"manifest": {HOSTILE: HOSTILE}, "run": {"x": [1, None, HOSTILE]}})
    for model in report.models:
        model.update(told)
    text = render_page(report, command=HOSTILE)
    shown = Page(text)
    tags = {tag for tag, _ in shown.elements}
    assert not tags & {"img", "b", "iframe", "textarea"}
    assert sum(tag == "script" for tag, _ in shown.elements) == 1
    assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
    assert "window.harmed" not in shown.texts["script"] + shown.texts["style"]
    assert "window.harmed = 1" in shown.texts["title"] + shown.texts["h1"] and "49" not in shown.texts["h1"]
    unseen = {character for character in text if not character.isprintable()}
    assert unseen == {"\n"} and "\\u202e" in text and "\\u0000" in text
    text.encode("utf-8")


@pytest.mark.parametrize("asset", ["page.jinja", "parts.jinja", "charts.jinja"])
def test_templates_escape_everything(asset, pytestconfig):
    text = (pytestconfig.rootpath / "recipe/personadual/evaluation/html" / asset).read_text()
    assert "|safe" not in text.replace(" ", "") and "autoescape" not in text


def test_page_stays_small_with_many_models_and_long_answers():
    rows = [
        entry | {"response": f"[General_mode]\n{'long text ' * 1000}", "persona": "who " * 2000}
        for index in range(10)
        for entry in answers(f"model {index}", index, questions=12)
    ]
    text = render_page(report_of(rows))
    assert 300_000 < len(text.encode()) < 3_000_000
    assert "characters left out" in text


def test_report_command_writes_the_page_beside_the_others(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "g.jsonl", answers("m", 5))
    settings = {"label": "m", "seed": 0, "dtype": "float32", "data_sha256": "abc"}
    session = {"command": "personadual eval 'some model'", "machine": {"cpu": "X"}}
    (tmp_path / "g.meta.json").write_text(json.dumps({"settings": settings, "sessions": [session]}))
    log = write_rows(tmp_path / "log.jsonl", [{"step": s, "data": {"critic/score/mean": s / 9}} for s in range(9)])
    parser = argparse.ArgumentParser()
    add_report_arguments(parser)
    arguments = [str(path), "--out", str(tmp_path / "o"), "--training-log", str(log)]
    monkeypatch.setattr("sys.argv", ["/somewhere/personadual", "report", *arguments])
    assert run_report(parser.parse_args(arguments)) == 0
    text = (tmp_path / "o/report.html").read_text(encoding="utf-8")
    shown = Page(text)
    assert "personadual eval 'some model'" in shown.texts["code"] and f"report {path} --out" in shown.texts["code"]
    assert ["data_sha256", "abc"] in shown.table("Settings that all runs share")
    assert shown.table("Sessions")[1] == ["m, seed 0", "X"]
    assert shown.table("First and last")[1][0] == "reward" and "polyline" in text
    assert not list((tmp_path / "o").glob(".*"))


def test_settings_that_differ_stand_in_a_table_of_their_own(tmp_path):
    paths = [write_rows(tmp_path / f"{name}.jsonl", answers(name, 5)) for name in ("a", "b")]
    for path, dtype in zip(paths, ("float32", "bfloat16"), strict=True):
        settings = {"label": path.stem, "seed": 0, "dtype": dtype, "max_tokens": 48}
        (tmp_path / f"{path.stem}.meta.json").write_text(json.dumps({"settings": settings}))
    shown = Page(render_page(read_report(paths, "t")))
    assert shown.table("Settings that differ") == [
        ["run", "dtype"], ["a, seed 0", "float32"], ["b, seed 0", "bfloat16"]
    ]  # fmt: skip
    assert ["max_tokens", "48"] in shown.table("Settings that all runs share")


def test_assets_are_in_the_wheel(tmp_path, pytestconfig):
    (tmp_path / "tree").mkdir()
    with zipfile.ZipFile(build_wheel(tmp_path / "tree", tmp_path)) as wheel:
        names = set(wheel.namelist())
    folder = pytestconfig.rootpath / "recipe/personadual/evaluation/html"
    assets = [path for path in folder.iterdir() if path.suffix in (".jinja", ".css", ".js")]
    assert len(assets) == 5 and {f"personadual/evaluation/html/{path.name}" for path in assets} <= names
