"""Checks each answer as soon as it is given, so that a bad one costs no other.

cookiecutter.json names the class below as an extension of Jinja, and calls it before the first question and
after each one. A bad answer is asked for again; with --no-input, its refusal is the last line.
"""

from __future__ import annotations

import json
import logging
import runpy
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from cookiecutter.exceptions import FailedHookException
from cookiecutter.prompt import read_user_variable
from jinja2 import Environment, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

TEMPLATE = Path(__file__).parent
sys.path.append(str(TEMPLATE / "hooks"))

import pre_gen_project  # noqa: E402
from pre_gen_project import RefusedError  # noqa: E402


class AskAgain(Extension):
    """Gives `check_machine()` and `check_answer(question)` to the templates of cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(check_machine=check_machine, check_answer=check_answer)
        # A hook that fails says why; cookiecutter would add its own traceback, and that would stand last.
        logging.getLogger("cookiecutter.hooks").setLevel(logging.CRITICAL)


def check_machine() -> str:
    """Ends cookiecutter where no answer could help, and warns where a project could not be installed."""
    try:
        pre_gen_project.check_git()
        pre_gen_project.check_identity()
    except RefusedError as refusal:
        raise FailedHookException(pre_gen_project.refusal_text(refusal)) from None
    install = runpy.run_path(str(TEMPLATE / "{{cookiecutter.project}}" / "install.py"))
    try:
        install["check_system"]()
    except install["InstallError"] as lack:
        click.echo(textwrap.fill(f"Warning: {lack}", 79, break_on_hyphens=False), err=True)
    return ""


@pass_context
def check_answer(context: Context, question: str) -> str:
    """Replaces the answer by the first good one that is given."""
    answers = context["cookiecutter"]
    while refusal := find_refusal(question, answers):
        if not is_asking():
            raise FailedHookException(pre_gen_project.refusal_text(refusal))
        click.echo(textwrap.indent(pre_gen_project.wrap(str(refusal)), "      "))
        answers[question] = ask(question, answers, context.environment.from_string)
    return ""


def find_refusal(question: str, answers: dict[str, str]) -> RefusedError | None:
    try:
        pre_gen_project.check_answer(question, answers, find_place(answers))
    except RefusedError as refusal:
        return refusal
    return None


def find_place(answers: dict[str, str]) -> Path | None:
    """Returns where the project will be; None where a program called cookiecutter, and not a person."""
    called = click.get_current_context(silent=True)
    output = called.params.get("output_dir") if called else None
    return Path(output).absolute() / answers["project"] if output and "project" in answers else None


def is_asking() -> bool:
    called = click.get_current_context(silent=True)
    return bool(called and not called.params.get("no_input") and sys.stdin.isatty())


def ask(question: str, answers: dict[str, str], template: Callable[[str], Any]) -> str:
    """Asks as cookiecutter did."""
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    names = [name for name in asked if not name.startswith("_")]
    default = template(asked[question]).render(cookiecutter=answers)
    prefix = f"  [dim][{names.index(question) + 1}/{len(names)}][/] "
    return str(read_user_variable(question, default, asked["__prompts__"], prefix))
