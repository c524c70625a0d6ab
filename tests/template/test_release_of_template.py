"""The version of the machinery, the changelog and the tags of the template say the same."""

import re

from baking import TEMPLATE, UNBAKED, Run
from mlops.release.update import changelog, template

SECTION = re.compile(r"^## (Unreleased|(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\))$", re.MULTILINE)
CHANGELOG = (TEMPLATE / "CHANGELOG.md").read_text()
VERSION = (UNBAKED / "mlops/VERSION").read_text().strip()


def test_the_newest_section_of_the_changelog_is_of_the_version_that_is_shipped() -> None:
    headings = re.findall(r"^## .*$", CHANGELOG, re.MULTILINE)
    sections = [match[2] or match[1] for heading in headings if (match := SECTION.match(heading))]
    assert len(sections) == len(headings) > 0, "`## Unreleased` or `## 1.2.0 (2027-01-31)`"
    order = [changelog.place(section) for section in sections]
    assert order == sorted(order, reverse=True)
    released, dev = re.fullmatch(r"(\d+\.\d+\.\d+)(\.dev0)?", VERSION).groups()  # type: ignore[union-attr]
    assert sections[0] == (changelog.UNRELEASED if dev else released)
    assert all(changelog.place(section) < changelog.place(VERSION) for section in sections[1:])


def test_each_section_says_what_an_owner_must_do_and_which_stages_run() -> None:
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        for title in changelog.ASKED:
            text = section.partition(f"\n### {title}\n")[2].split("\n### ")[0]
            assert text.strip(), f"{section.splitlines()[0]}: {title}"


def test_a_tag_is_of_the_version_that_it_names(run: Run) -> None:
    for tag in run.git("tag", "--list", "v*", cwd=TEMPLATE).split():
        path = f"{tag}:{UNBAKED.name}/mlops/VERSION"
        if template.RELEASE.fullmatch(tag):
            assert f"v{run.git('show', path, cwd=TEMPLATE)}" == tag
