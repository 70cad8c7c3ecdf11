"""The reference says all that the tables say, and docs/reference has the same text.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/report/test_manual.py

writes docs/reference anew.
"""

from __future__ import annotations

import ast
import os
import re
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import percpu_emu
from percpu_emu.kernel.profile import KernelProfile
from percpu_emu.lang import instructions as i
from percpu_emu.lang import native
from percpu_emu.lang.checks import GROUPS, Check
from percpu_emu.lang.operation import OPERATIONS, Kind, Order, Section
from percpu_emu.report.manual import environment, figures, language, operations, topics, verdict
from percpu_emu.report.manual.exit_codes import exit_codes_page
from percpu_emu.report.manual.markdown import cell
from percpu_emu.report.manual.models import keys_table, places, type_name
from percpu_emu.report.result import Report
from percpu_emu.scenario import figure_table
from percpu_emu.scenario.exits import Exit
from percpu_emu.scenario.exploration import SCOPE
from percpu_emu.scenario.figures import figure_names
from percpu_emu.scenario.load import load
from percpu_emu.scenario.schema import Scenario
from percpu_emu.scenario.verdict import Verdict

PACKAGE = Path(percpu_emu.__file__).parent
DOCS = PACKAGE.parent / "docs" / "reference"
PAGES = topics.pages()


def tree(path: str) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text())


def function(path: str, name: str) -> ast.FunctionDef:
    return next(node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef) and node.name == name)


def keys_given(node: ast.AST, *variables: str) -> set[str]:
    """The keys of dictionaries that are written out in the code, and of `variable["key"] = ...`."""
    found = [key for part in ast.walk(node) if isinstance(part, ast.Dict) for key in part.keys]
    stored = [part for part in ast.walk(node) if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store)]
    found += [part.slice for part in stored if ast.unparse(part.value) in variables]
    return {str(key.value) for key in found if isinstance(key, ast.Constant)}


# --- docs/reference


@pytest.mark.parametrize("name", PAGES)
def test_the_docs_have_the_same_text(name: str) -> None:
    path = DOCS / name
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        DOCS.mkdir(exist_ok=True)
        path.write_text(PAGES[name])
    assert path.read_text() == PAGES[name]


def test_docs_reference_has_no_other_page() -> None:
    assert {path.name for path in DOCS.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_row_of_a_table_has_as_many_cells_as_its_header(name: str) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", PAGES[name], re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


@pytest.mark.parametrize("topic", ["", *topics.names()])
def test_every_topic_has_a_page_with_a_title(topic: str) -> None:
    assert re.match(r"# \S.*\n\n\S", topics.text_of(topic))


@given(st.text())
def test_no_text_breaks_a_cell(text: str) -> None:
    made = cell(text)
    assert len(made.splitlines()) <= 1
    assert not re.search(r"(?<!\\)\|", made)


# --- operations


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_section_and_a_meaning(name: str) -> None:
    operation = OPERATIONS[name]
    assert f"\n### `{name}`\n" in PAGES["operations.md"]
    assert f"| `{operations.signature(operation)}` |" in topics.text_of("operations")
    assert operations.meaning(operation).endswith(".")
    assert all(f"`{parameter}`" in topics.text_of(name) for parameter, _ in operation.parameters)


def test_every_family_has_operations_and_only_ours_have_no_name_in_the_kernel() -> None:
    assert {operations.family_of(operation) for operation in OPERATIONS.values()} == set(operations.FAMILIES)
    ours = {name for name, operation in OPERATIONS.items() if not operation.kernel_name}
    assert ours == {"ledger_add", "ledger_commit", "mark"}


def test_every_order_section_and_kind_of_argument_has_words() -> None:
    assert set(operations.ORDERS) == set(typing.get_args(Order))
    assert set(operations.SECTIONS) == set(typing.get_args(Section))
    assert set(operations.KINDS) == set(typing.get_args(Kind))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("this_cpu_add", "| other CPUs see | a load and a store: "),
        ("atomic_long_add", "| other CPUs see | one step: "),
        ("read_once", "| the kernel's name | `READ_ONCE` |"),
        ("mark", "| the kernel's name | none: "),
        ("rcu_read_lock", "| sections | enters a read-side section |"),
        ("local_irq_restore", "| sections | leaves a section with interrupts off"),
        ("synchronize_rcu", "| waits | It sleeps: "),
        ("smp_cond_load_acquire", "| waits | It spins: "),
        ("kzalloc", "| waits | the CPU asks the coordinator"),
        ("call_rcu", "| queues | the program, "),
        ("this_cpu_sub", "`pointer`: a per-CPU pointer; `value`: a number"),
    ],
)
def test_a_page_says_what_the_definition_says(name: str, said: str) -> None:
    assert said in topics.text_of(name)


def test_the_split_of_a_page_is_the_definitions() -> None:
    split = {name for name in OPERATIONS if "a load and a store" in topics.text_of(name)}
    assert split == {name for name, o in OPERATIONS.items() if o.own and o.opcode in i.MODIFYING}


# --- the language


def test_every_form_of_the_language_is_in_the_table() -> None:
    visited = {name.removeprefix("visit_") for name in vars(native.Rewriter) if name.startswith("visit_")}
    assert {node.__name__ for node in language.SYNTAX} == visited | {node.__name__ for node in native.STATEMENTS}


def test_the_modules_that_refuse_programs_are_all_looked_at() -> None:
    found = {path.stem for path in (PACKAGE / "lang").glob("*.py") if "ource.refuse(" in path.read_text()}
    assert found | {"source"} == {module.__name__.rpartition(".")[2] for module in language.REFUSING}


def test_a_refusal_is_read_with_its_numbers_and_its_alternatives() -> None:
    found = [reason for module in language.REFUSING for reason in language.refusals(module)]
    assert "`…`: a word has 64 bits: no shift by …" in found
    assert "`…`: it is an operation: `yield` it" in found
    assert all(f"* {reason}\n" in PAGES["language.md"] for reason in found)


# --- scenario files and the JSON object


@pytest.mark.parametrize("root", [Scenario, Report, KernelProfile])
def test_every_key_has_a_description_and_a_row(root: type[BaseModel]) -> None:
    names = ("scenario", "explore-table", "json", "kernel-profile")
    pages = "".join(PAGES[f"{name}.md"] for name in names)
    for place in places(root):
        assert place.model.__doc__
        assert keys_table(place.model) in pages
        missing = [key for key, field in place.model.model_fields.items() if not field.description]
        assert not missing, place.model


def test_a_type_without_a_word_raises() -> None:
    with pytest.raises(TypeError, match="no word for the type"):
        type_name(bytes)


# --- checks, figures, verdicts, exit codes


@pytest.mark.parametrize("check", Check)
def test_every_check_is_there_with_what_to_do(check: Check) -> None:
    assert f"| `{check.label}` | " in PAGES["checks.md"]
    assert check.remedy.endswith(".")
    assert check.remedy in PAGES["checks.md"]


def test_every_line_of_a_report_says_when_it_is_judged() -> None:
    assert all(f"Judged: {group.when}." in PAGES["checks.md"] for group in GROUPS)


@pytest.mark.parametrize("name", ["dying-cgroups", "hotplug-storm", "interrupts-raw", "soak", "rcu-torture"])
def test_every_figure_that_a_run_can_have_is_there(name: str) -> None:
    found = figure_names(load(name).scenario)
    assert found
    assert all(f"| `{path.rpartition('.')[2]}` | " in PAGES["figures.md"] for path in found)


@pytest.mark.parametrize(
    ("path", "producer", "known"),
    [
        ("explore/strategies.py", "_by_random_schedules", figure_table.EXPLORE),
        ("scenario/torture.py", "_figures", figure_table.TORTURE | figure_table.TORTURE_LISTS),
        ("scenario/stress.py", "stress_scenario", figure_table.ROUNDS),
    ],
)
def test_a_table_of_figures_has_what_the_code_gives(path: str, producer: str, known: dict[str, str]) -> None:
    given = keys_given(function(path, producer), "figures") - {"on"}
    assert given
    assert given <= set(known)


@pytest.mark.parametrize(
    ("method", "known"),
    [
        ("_work", figure_table.WORK | figure_table.FORWARDED | figure_table.CHAOS),
        ("_interrupts", figure_table.INTERRUPTS),
        ("_cost", figure_table.COST),
        ("read", figure_table.READING),
    ],
)
def test_a_meter_gives_the_figures_of_its_table(method: str, known: dict[str, str]) -> None:
    assert keys_given(function("scenario/figures.py", method), "more") == set(known)


def test_what_steps_count_is_in_the_table() -> None:
    text = "\n".join(path.read_text() for path in (PACKAGE / "scenario").glob("*.py"))
    assert set(re.findall(r"\.count\(\s*\"(\w+)\"", text)) == set(figure_table.COUNTED)


def test_the_figures_of_a_search_and_of_a_replay_are_all_that_the_code_gives() -> None:
    search = keys_given(function("explore/strategies.py", "_by_search"), "figures")
    reduction = {"on", "rounds", "conflicting_words", "confirmed", "fair", "remote_words"}
    walks = keys_given(function("explore/strategies.py", "_by_random_schedules"), "figures")
    assert (search | walks | {"seconds"}) - reduction == set(figure_table.EXPLORE)
    replay = keys_given(function("report/replay_report.py", "report_of"))
    assert replay - {"engine", "cpus", "controlled"} == set(figure_table.REPLAY)


def test_every_table_of_figures_is_on_the_page() -> None:
    tables = [vars(figure_table)[name] for name in vars(figure_table) if name.isupper()]
    named = {name for known in tables if isinstance(known, dict) for name in known}
    assert named == {name for _, _, shown in figures.SECTIONS for known in shown for name in known}


def test_every_key_of_the_scope_is_explained() -> None:
    assert keys_given(function("scenario/exploration.py", "scope_of"), "scope") == set(SCOPE)
    assert set(verdict.MEANS) == set(typing.get_args(Verdict))


def test_every_exit_code_is_there_and_the_command_line_uses_no_other() -> None:
    assert all(f"| {code.value} | " in exit_codes_page() for code in Exit)
    for path in (PACKAGE / "cli").glob("*.py"):
        exits = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        codes = [node.args[0] for node in exits if ast.unparse(node.func) == "typer.Exit" and node.args]
        assert not [code for code in codes if isinstance(code, ast.Constant)], path


# --- the environment


def variables_used() -> set[str]:
    """Every name that the package looks up in os.environ; of a prefix, the prefix with a star."""
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    found = set(re.findall(r"os\.(?:environ(?:\.get\(|\[)|getenv\()\"(\w+)\"", text))
    found |= {f"{prefix}*" for prefix in re.findall(r"in os\.environ if name\.startswith\(\"(\w+)\"\)", text)}
    for names in re.findall(r"_SCREENS: Final = \((.*?)\)", text):
        found |= set(re.findall(r"\"(\w+)\"", names))
    return found | {"HOME"} if "Path.home()" in text else found


def test_every_variable_that_the_package_uses_is_there() -> None:
    assert variables_used() == set(environment.VARIABLES)


def test_the_search_for_variables_misses_no_use_of_the_environment() -> None:
    uses = [line for path in PACKAGE.rglob("*.py") for line in path.read_text().splitlines() if "os.environ" in line]
    known = r"os\.environ(\.get\(\"|\[\"|\.get\(name\) for name in _SCREENS| if name\.startswith|\[name\]  # NUMBA)"
    assert uses
    assert not [line for line in uses if not re.search(known, line)]
