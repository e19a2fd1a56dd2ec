"""``report.html`` in a real browser, from a file: it loads nothing, sorts, filters, fits, and runs no text of others.

Needs Chromium on PATH (Debian: ``apt-get install chromium``). Without it the tests are skipped, or fail where
``PERSONADUAL_REQUIRE_BROWSER`` is set, as it is in CI.
"""

import os
import shutil

import pandas as pd
import pytest
from page_rows import HOSTILE, HOSTILE_TEXTS, RIGHT, answers, hostile_rows, write_rows

from personadual.evaluation.html.words import visible_lines
from personadual.evaluation.report import read_report, write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

# Colour of the text of every element that holds some, over the background that is behind it: its contrast by WCAG 2.
CONTRASTS = """() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const rgb = numbers(getComputedStyle(at).backgroundColor);
      if (rgb.length < 4 || rgb[3] > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const element of document.querySelectorAll("body *")) {
    const own = Array.from(element.childNodes).some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length || ["TITLE", "DESC"].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element), svg = element.namespaceURI.endsWith("svg");
    const [a, b] = [light(numbers(svg ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found[element.tagName + "." + element.getAttribute("class")] = ratio;
  }
  return found;
}"""


def without_browser(said):
    (pytest.fail if os.environ.get("PERSONADUAL_REQUIRE_BROWSER") else pytest.skip)(f"no browser test: {said}")


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        without_browser(f"none of {', '.join(BROWSERS)} is on PATH; Debian: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without_browser("the package playwright is not installed; see requirements/cpu.in")
    # Chromium refuses its sandbox to root, which CI's containers run as.
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else list(ARGUMENTS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=arguments, timeout=300_000)
        yield running
        running.close()


def written(folder, rows, title="A report"):
    """The address of a report of ``rows``."""
    log = write_rows(
        folder / "log.jsonl",
        [
            {"step": s, "data": {"critic/score/mean": s / 9, "dual_grpo/d/prob_personalized/mean": 0.5}}
            for s in range(9)
        ],
    )
    write_report(read_report([write_rows(folder / "g.jsonl", rows)], title, [log]), folder / "out")
    return (folder / "out/report.html").as_uri()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    rows = answers("second", 4) + answers("a long-named model, decoupled credit, seed 1", 9) + answers("third", 1)
    return written(tmp_path_factory.mktemp("plain"), rows)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    rows = hostile_rows() + hostile_rows(HOSTILE)
    rows += answers("plain", 9, questions=3, conditions=("none",), **HOSTILE_TEXTS)
    rows = [entry | {"question_id": f"q{entry['item'] // len(RIGHT)}"} for entry in rows]
    return written(folder, rows, title=HOSTILE)


@pytest.fixture
def open_page(browser):
    """Opens an address; at the end of the test nothing may have been requested, logged, thrown or asked."""
    heard, contexts = [], []

    def opened(address, **settings):
        contexts.append(browser.new_context(**{"viewport": WIDE, **settings}))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: request.url == address or heard.append(f"request {request.url}"))
        page.on("console", lambda message: heard.append(f"console {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error {error}"))
        page.on("dialog", lambda dialog: (heard.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard == []


def column(page, table, number):
    """Texts of a column of the table with this caption, without intervals."""
    return [text.split("\n")[0] for text in rows_of(page, table).locator(f"> :nth-child({number})").all_inner_texts()]


def rows_of(page, caption):
    return page.locator("table", has=page.locator("caption", has_text=caption)).locator("tbody tr")


def test_tables_sort_by_value_and_come_back(plain, open_page):
    page = open_page(plain)
    caption = "Expected mode-selection error: 1"
    names = ["second", "a long-named model, decoupled credit, seed 1", "third"]
    assert column(page, caption, 1) == names
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    button = table.get_by_role("button", name="none")
    order = []
    for _ in range(3):
        button.focus()
        page.keyboard.press("Enter")
        order.append((button.locator("..").get_attribute("aria-sort"), column(page, caption, 1)))
    assert order == [
        ("ascending", [names[1], names[0], names[2]]),
        ("descending", [names[2], names[0], names[1]]),
        (None, names),
    ]
    values = [float(text) for text in column(page, caption, 2)]
    assert len(values) == 3 and values[1] < values[0] < values[2]
    table.get_by_role("button", name="model").click()
    assert column(page, caption, 1) == sorted(names)


def test_numbers_sort_as_numbers_and_gaps_come_last(plain, open_page):
    page = open_page(plain)
    caption = "Over groups of items"
    table = page.locator("table", has=page.locator("caption", has_text=caption)).first
    table.get_by_role("button", name="difference").click()
    shown = [float(text.replace("−", "-")) for text in column(page, caption, 6)]
    assert shown == sorted(shown) and shown[0] < 0 < shown[-1]
    caption = "Further effects"
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    before = column(page, caption, 2)
    for _ in range(2):
        table.get_by_role("button", name="kept gain").click()
        gaps = [text == "–" for text in column(page, caption, 2)]
        assert gaps == sorted(gaps) and any(gaps) == ("–" in before)


def test_filters_show_what_fits_and_say_how_many(plain, open_page):
    page = open_page(plain)
    cards = page.locator(".card:visible")
    total = cards.count()
    assert total == 4 * len(RIGHT) and page.locator("#f-count").inner_text() == f"{total} of {total} shown"
    page.get_by_role("combobox", name="Condition").select_option(label="personal")
    assert cards.count() == 4 and all(text.startswith("personal") for text in cards.locator("h3").all_inner_texts())
    page.get_by_label("Only where the models differ").check()
    differing = cards.count()
    assert 0 < differing <= 4
    for card in cards.all():
        said = [badges.all_inner_texts() for badges in map(lambda m: m.locator(".badges .badge:visible"), models(card))]
        assert any(said[0] != other for other in said)
    page.get_by_role("combobox", name="Condition").select_option(label="all")
    page.get_by_label("Wrong free answer of").select_option(label="third")
    assert cards.count() and all(models(card)[2].locator(".v-wrong:visible").count() for card in cards.all())
    page.get_by_label("Wrong free answer of").select_option(label="a long-named model, decoupled credit, seed 1")
    assert cards.count() == 0 and page.get_by_text("No sample on this page matches.").is_visible()
    assert page.locator("#f-count").inner_text() == f"0 of {total} shown"


def models(card):
    return card.locator(".model").all()


def test_forced_answers_unfold(plain, open_page):
    page = open_page(plain)
    fold = page.locator(".card details").first
    assert not fold.get_by_text("forced general").is_visible()
    fold.locator("summary").click()
    assert fold.get_by_text("forced general").is_visible()


def test_text_of_others_is_shown_and_not_run(hostile, open_page):
    page = open_page(hostile)
    page.locator("th button").evaluate_all("all => all.forEach(one => one.click())")
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    page.locator("[class]").evaluate_all("all => all.forEach(one => one.dispatchEvent(new MouseEvent('mouseover')))")
    assert page.evaluate("[window.harmed, document.images.length, document.scripts.length]") == [None, 0, 1]
    assert page.evaluate("document.querySelectorAll('iframe, body b, body textarea, [onmouseover]').length") == 0
    shown = visible_lines(HOSTILE)
    assert page.title() == shown and page.locator("h1").inner_text() == shown
    answer = page.locator(".said").first.inner_text()
    assert answer == shown and "\\u202etxet desrever\\u202c" in answer and "<script>" in answer
    label = visible_lines("<b>bold</b><script>window.harmed = 1</script>\u202emodel")
    assert page.locator(".model h4").first.inner_text() == label
    page.get_by_label("Wrong free answer of").select_option(label=label)
    assert page.locator(".card:visible").count()


def test_policy_stops_what_would_be_injected(plain, browser):
    """A second wall: even a script of the page's own can't turn text into markup, or load anything."""
    page = browser.new_context().new_page()
    page.goto(plain)
    thrown = page.evaluate("""() => [
        () => { document.body.innerHTML = "<b>x</b>" },
        () => document.body.setAttribute("onclick", "window.harmed = 1"),
        () => { const script = document.createElement("script"); script.text = "window.harmed = 1" },
    ].map(attempt => { try { attempt(); return "done" } catch (error) { return error.name } })""")
    assert thrown == ["TypeError"] * 3
    loaded = page.evaluate("""() => new Promise(done => {
        const image = document.createElement("img");
        image.onload = () => done("loaded");
        image.onerror = () => done("refused");
        image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
        document.body.append(image);
    })""")
    assert loaded == "refused" and page.evaluate("window.harmed") is None
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_page_fits_and_can_be_read(which, viewport, scheme, open_page, request):
    page = open_page(request.getfixturevalue(which), viewport=viewport, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(CONTRASTS) == {}
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]


def test_wide_tables_scroll_and_keep_their_first_column(plain, open_page):
    page = open_page(plain, viewport=NARROW)
    box = page.locator(".scroll", has=page.locator("caption", has_text="Accuracy, mode chosen freely"))
    box.focus()
    before = box.locator("tbody th").first.bounding_box()["x"]
    box.evaluate("box => { box.scrollLeft = 200 }")
    assert box.evaluate("box => box.scrollLeft") == 200 and box.locator("tbody th").first.bounding_box()["x"] == before


def test_without_scripts_everything_is_there_and_nothing_promises_more(plain, open_page):
    page = open_page(plain, java_script_enabled=False)
    assert page.locator(".card:visible").count() == 4 * len(RIGHT)
    assert not page.locator("#filters").is_visible() and page.locator("th button").count() == 0
    page.locator("summary").first.click()
    assert page.locator("details.fold table").first.is_visible()


def test_print_unfolds_tables_fits_and_is_light(plain, open_page):
    page = open_page(plain, color_scheme="dark", viewport={"width": 1030, "height": 700})  # A4, landscape
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.fold:not([open])").count() == 0 and not page.locator("nav").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 1030
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.fold[open]").count() == 0


def test_charts_are_named_and_their_text_is_text(plain, open_page):
    page = open_page(plain)
    chart = page.get_by_role("img", name="conflicting, right mode: general")
    assert chart.count() == 1 and "second" in "".join(chart.locator("text").all_text_contents())
    assert "95 % intervals" in chart.locator("desc").text_content()
    assert page.get_by_role("img", name="reward").locator("polyline").count() == 1


def test_values_of_the_page_are_those_of_the_rows(tmp_path, open_page):
    address = written(tmp_path, answers("m", 7, questions=10))
    page = open_page(address)
    rows = pd.DataFrame(answers("m", 7, questions=10))
    free = rows[(rows["asked_mode"] == "free") & (rows["condition"] == "aligned")]["acc"].mean()
    assert column(page, "Accuracy, mode chosen freely", 5)[0] == f"{free:.2f}" == "0.70"
