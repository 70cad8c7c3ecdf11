"""Every scenario that ships is the same in the other form."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.scenario.decorator import Contexts, DeclaredScenario
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.schema import Scenario
from percpu_emu.scenario.writing import as_python, as_toml

EXPLORED = [name for name in shipped() if load(name).scenario.explore]


def _compared(loaded: Loaded) -> Scenario:
    """Without how lines are broken in the description, and where the programs are."""
    scenario = loaded.scenario
    folded = scenario.model_copy(update={"description": " ".join(scenario.description.split())})
    explore = scenario.explore and scenario.explore.model_copy(update={"programs": "", "contexts": [
        part.model_copy(update={"name": part.name or part.program}) for part in scenario.explore.contexts
    ]})  # fmt: skip
    return folded.model_copy(update={"explore": explore})


@pytest.mark.parametrize("name", shipped())
def test_as_toml_it_is_the_same(tmp_path: Path, name: str) -> None:
    loaded = load(name)
    _copy_programs(loaded, tmp_path)
    (tmp_path / "mine.toml").write_text(as_toml(loaded))
    assert _compared(load(str(tmp_path / "mine.toml"))) == _compared(loaded)


@pytest.mark.parametrize("name", EXPLORED)
def test_as_python_it_is_the_same(tmp_path: Path, name: str) -> None:
    loaded = load(name)
    programs = shipped()[name].place.path.read_text().replace("@scenario(", "@elsewhere(")
    head, _, rest = programs.partition("from __future__ import annotations\n")
    decorator = "from percpu_emu.scenario.decorator import scenario as elsewhere\n"
    (tmp_path / "mine.py").write_text(
        f"{head}from __future__ import annotations\n{decorator}{rest}\n{as_python(loaded)}"
    )
    assert _compared(load(str(tmp_path / "mine.py"))) == _compared(loaded)


def test_what_only_toml_says_is_refused_as_python() -> None:
    with pytest.raises(ScenarioError, match=r"steps.*`@scenario` has no such keys; it is for `--as toml`"):
        as_python(load("release-storm"))


@given(st.text(max_size=80), st.text(alphabet=st.sampled_from('ab"\\\n '), max_size=200))
def test_texts_come_through_as_python(summary: str, description: str) -> None:
    loaded = load("one-word")
    summary = "".join(c for c in summary if c.isprintable()).strip() or "s"
    scenario = loaded.scenario.model_copy(update={"summary": summary, "description": description})
    text = as_python(Loaded(scenario, loaded.source, loaded.profile, [], [], module=loaded.module))
    names = dict(vars(loaded.module)) if loaded.module else {}
    exec(text, names)
    declared = names["one_word"]
    assert isinstance(declared, DeclaredScenario)
    declared.function(Contexts())
    said = declared.document()
    assert " ".join(said["description"].split()) == " ".join(description.split())
    assert said["summary"].rstrip(".") == " ".join(summary.split()).rstrip(".") or " " in summary


def _copy_programs(loaded: Loaded, folder: Path) -> None:
    if loaded.scenario.explore is not None:
        path = Path(loaded.source.partition("::")[0])
        shutil.copy(path.parent / loaded.scenario.explore.programs, folder)
