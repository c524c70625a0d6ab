"""Tests the page of the service in a real browser, with hostile names of columns, categories and classes."""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from browser import NARROW, fits, markup_errors, opened, violations
from mlops.contract import profile
from mlops.contract.profile import NumberBins, ProbabilityBins, Reference
from mlops.predict import schema
from mlops.predict.derived import DERIVED
from mlops.predict.inputs import matrix_columns
from mlops.predict.schema import Column, Policy, Schema
from mlops.train import trees
from mlops.train.trees import Ensemble
from running_service import Service, deployment, running
from three_tasks import COLUMNS, by_age

HOSTILE = "</script><script>alert(1)</script>\n\N{ESCAPE}[2J\N{RIGHT-TO-LEFT OVERRIDE}'\"\\&`$(x) $HOME %s"
SHOWN = r"</script><script>alert(1)</script> \x1b[2J\u202e" + "'\"\\&`$(x) $HOME %s"
SAID = SHOWN.replace(r"\x", r"\u00")
LONG = HOSTILE + "x" * 99
PARTS = ("year", "month", "weekday", "days")
HOSTILE_COLUMNS = (
    *COLUMNS,
    Column(LONG, "number", 0.5, missing=True, minimum=-1.5, maximum=1e-7),
    Column("__proto__", "boolean", True, missing=False),
    Column("native", "boolean", False, missing=True),
    Column(
        *("joined", "date", "2024-05-01"), missing=True, minimum="2020-01-01", maximum="2024-12-31",
        parts=PARTS, days_since="1970-01-01",
    ),
    Column("soil", "category", "Löß", missing=True, categories=(HOSTILE, "Löß", "null")),
)  # fmt: skip
BINARY = Schema(
    *(HOSTILE, HOSTILE, ("no", HOSTILE), HOSTILE_COLUMNS),
    threshold=0.4,
    derived=(*DERIVED,),
    policy=Policy(missing_value="error"),
)


def write_bundle(folder: Path, model: Schema, *ends: float) -> Path:
    """Writes a bundle whose score is the first end up to an age of 30, the last one over 60."""
    answers = ProbabilityBins() if model.classes else NumberBins((-0.25, 0.125, 0.75))
    ensemble = Ensemble(
        [by_age(*ends)], [0], [0.0], trees.SIGMOID if model.classes else trees.IDENTITY
    )
    numbers, categories = map(len, matrix_columns(model).values())
    folder.mkdir(parents=True)
    schema.write_schema(model, folder / "schema.json")
    (folder / "model.onnx").write_bytes(
        trees.to_onnx(ensemble, numbers, [["blue", "red"]] * categories)
    )
    profile.write_reference(Reference({}, answers), folder)
    return folder


@contextmanager
def asked(service: Service, browser: Browser, **how: Any) -> Iterator[Page]:
    """Opens the page of a service, as `opened` opens it."""
    place = f"http://127.0.0.1:{service.port}/"
    answer = service.client.get("/docs")
    assert markup_errors(answer.text) == []
    assert "unsafe" not in answer.headers["content-security-policy"]
    with opened(browser, place, "", **how) as page:
        assert page.url == f"{place}docs"
        yield page


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("binary")
    bundle = write_bundle(folder / "bundle", BINARY, -1, -0.3, 2)
    with running(deployment(folder / "v1", bundle)) as service:
        yield service


def ask(page: Page) -> str:
    """Presses the button, and returns what the page says."""
    with page.expect_response("**/predict") as waiting:
        page.get_by_role("button", name="Ask", exact=True).click()
    waiting.value.finished()
    page.wait_for_function("document.querySelector('details').hidden === false")
    return page.locator("#said").inner_text()


def copied(page: Page, language: str) -> str:
    snippet = page.locator(".snippet", has=page.locator(f"#{language}"))
    snippet.get_by_role("button", name="Copy").click()
    assert snippet.get_by_role("status").inner_text() == "Copied"
    return str(page.evaluate("navigator.clipboard.readText()"))


def printed(*command: str, **variables: str) -> str:
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", **variables}
    return subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=30, env=environment
    ).stdout


def answers_of_snippets(page: Page, **variables: str) -> list[Any]:
    """Returns what the snippets print once they are pasted into a shell, into Python and into JavaScript."""
    answers = [ast.literal_eval(printed(sys.executable, "-c", copied(page, "python"), **variables))]
    if shutil.which("curl"):
        answers.append(json.loads(printed("bash", "-c", copied(page, "curl"), **variables)))
    with page.expect_console_message() as waiting:
        process = json.dumps({"env": variables})  # as of Node.js
        page.evaluate(f"(async process => {{ {copied(page, 'javascript')} }})({process})")
    return [*answers, json.loads(waiting.value.text)]


def test_what_a_page_loads_from_elsewhere_is_refused(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<img src='http://localhost/x.png'><script>no()</script>")
    with (
        pytest.raises(AssertionError, match="Left contains 2 more items"),
        opened(chromium, f"{tmp_path.as_uri()}/", "page.html") as page,
    ):
        assert "image-alt" in " ".join(violations(page))


def test_the_form_asks_and_the_snippets_ask_the_same_whatever_the_names_are(
    chromium: Browser, binary: Service
) -> None:
    with asked(binary, chromium) as page:
        assert page.locator("script").count() == 2
        assert "API_KEY" not in page.content()
        assert violations(page) == []
        age, hostile = (page.get_by_label(name, exact=True) for name in ("age", SHOWN + "x" * 99))
        age.fill("007")
        hostile.fill(".5")
        page.get_by_label("joined").fill("2024-02-29")
        page.get_by_label("native").select_option("(missing)")
        page.get_by_label("soil").select_option("null")
        share = f"the probability of {SAID}, 26.9 %"
        assert ask(page) == f"{SAID} is no: {share}, is below the threshold of 40.0 %."
        row = BINARY.example() | {
            "age": 7, LONG: 0.5, "joined": "2024-02-29", "native": None, "soil": "null"
        }  # fmt: skip
        expected = binary.predict(row).json()
        assert expected["predictions"][0]["warnings"][0]["column"] == f"{LONG[:99]}…"
        assert answers_of_snippets(page) == [expected] * 3
        expect(hostile).to_have_accessible_description(
            re.compile("Warning: expected -1.5 to 1e-07")
        )
        assert violations(page) == []

        age.fill("90")
        hostile.fill("0")
        age.press("Enter")
        expect(page.locator("#said")).to_contain_text(f"{SAID} is {SAID}: the probability of")
        assert page.locator(".bar i").get_attribute("style") == "width: 88.0797%;"
        assert page.locator("#faults li").count() == 0
        page.get_by_role("button", name="Example values").click()
        expect(age).to_have_value("40")
        assert '"age": 40' in copied(page, "curl")


def test_a_fault_is_marked_at_its_field(chromium: Browser, binary: Service) -> None:
    with asked(binary, chromium, width=NARROW, dark=True) as page:
        age = page.get_by_label("age", exact=True)
        age.fill("")
        assert ask(page) == "The row can't be answered:"
        expect(age).to_be_focused()
        expect(age).to_have_attribute("aria-invalid", "true")
        expect(age).to_have_accessible_description(
            "a whole number, 0 to 99 in training; required Expected a value, as always in training, got null"
        )
        assert violations(page) == []
        assert fits(page)

        requests = len(binary.lines)
        age.press_sequentially("1e")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("#faults li")).to_have_text("age: This is not a number.")
        assert len(binary.lines) == requests


def test_each_class_has_a_bar_and_a_key_is_asked_for_where_one_is_needed(
    chromium: Browser, bundles: dict[str, Path], tmp_path: Path
) -> None:
    key = "it's_$ecret"
    folder = deployment(tmp_path / "v1", bundles["multiclass"])
    with (
        running(folder, variables={"API_KEY": key}) as service,
        asked(service, chromium, dark=True) as page,
    ):
        page.get_by_label("age").fill("90")
        assert ask(page) == "send the header X-API-Key"
        expect(page.locator("#key")).to_be_focused()
        page.locator("#key").fill(key)
        assert ask(page) == "animal is cat, with a probability of 78.7 %."
        assert page.locator("table th").all_inner_texts() == ["cat", "ape", 'the "bee"']
        answers = answers_of_snippets(page, API_KEY=key)
        assert [each["predictions"][0]["prediction"] for each in answers] == ["cat"] * 3
        assert key not in page.locator("main").inner_text()
        assert violations(page) == []


def test_hundreds_of_columns_can_be_filtered(chromium: Browser, tmp_path: Path) -> None:
    columns = (*COLUMNS, *(replace(COLUMNS[0], name=f"measure_{n}") for n in range(300)))
    model = Schema("animals", "weight", (), columns, "regression", derived=(*DERIVED,))
    bundle = write_bundle(tmp_path / "bundle", model, -0.5, 0.25, math.nan)
    with (
        running(deployment(tmp_path / "v1", bundle)) as service,
        asked(service, chromium, width=NARROW) as page,
    ):
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_in_viewport(ratio=1)
        assert ask(page) == "weight is 0.25."
        expect(page.locator("#bars")).to_be_in_viewport(ratio=1)
        page.get_by_role("searchbox").fill("E_29")
        assert page.locator(".fields > div:visible").count() == 11
        assert page.locator("#filter").get_by_role("status").inner_text() == f"11 of {len(columns)}"
        page.get_by_label("measure_29", exact=True).fill("9")
        assert ask(page) == "weight is 0.25."
        assert page.locator(".ends").inner_text().split() == ["-0.25", "0.75"]
        assert page.locator(".bar b").get_attribute("style") == "left: 50%;"
        assert fits(page)
        page.get_by_role("searchbox").fill("age")
        page.get_by_label("age", exact=True).fill("90")
        assert ask(page) == "The row can't be answered:"
        unanswered = "weight: Expected a finite number of the model, got NaN or infinity"
        expect(page.locator("#faults li")).to_have_text(unanswered)
        page.get_by_role("searchbox").fill("E_29")
        page.get_by_label("measure_29", exact=True).fill("0.5")
        page.get_by_role("searchbox").fill("age")
        assert ask(page) == "The row can't be answered:"
        expect(page.get_by_label("measure_29", exact=True)).to_be_focused()
        page.get_by_role("link", name="measure_29: Expected a whole number").click()
        assert violations(page) == []
