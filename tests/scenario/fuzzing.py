"""Wrong input of every kind: the bundled scenarios as documents, mutated, and `--inject` lines from a grammar."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, TypeAlias, get_args

import hypothesis
import hypothesis.strategies as st

from percpu_emu.machine.faults import KINDS
from percpu_emu.scenario import schema
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import document_of

Document: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]

DOCUMENTS: Final[dict[str, Document]] = {name: document_of(entry.place)[0] for name, entry in shipped().items()}

NUMBERS: Final = [
    *(0, 1, -1, 2, 7, 63, 64, 255, 512, 513, 9999, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e-300, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
]
STRINGS: Final = [
    *("", " ", ".", "..", "/", "a", "a/b", "a{i}", "{i}", "{", "{}", "{0}", "%s", "../x", "a//b", "/etc", "~"),
    *("all", "random", "cgroups", "seconds", "cpu", "turn", "charge", "raw_add", "update", "rmdir", "setup", "total"),
    *("/dev/null", "/dev", "/proc/self/mem", "nothing.toml", "/no/such/file.py", "release.py", "x.toml"),
    *("a\0b", "a\0.toml", "\x1b[31mred", "line\nline", "tab\t", "\x7f", "[/bold]", "[red]", "é", "名前", "\u202e"),
    *("x" * 300, "y" * 5000 + ".toml", "a/" * 120 + "a", "original.after.slab_kb", "figures", "releases", "a.b.c.d"),
]  # fmt: skip


class Raw(str):
    """Stands in the file as it is, without quotes."""


RAW: Final = [Raw("9" * 5000), Raw("[" * 2000 + "]" * 2000), Raw("{ a = " * 2000 + "1" + " }" * 2000), Raw("07:32:00")]
OTHERS: Final[list[Any]] = [
    *RAW,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    {"": 0},
    [0] * 600,
    date(2019, 3, 13),
    {"a\nb": 1},
    ["all"],
]

MODELS: Final = [value for value in vars(schema).values() if isinstance(value, type) and issubclass(value, schema.Part)]
KEYS: Final = sorted({key for model in MODELS for key in model.model_fields} | {"", "a b", "é", "\x1b", "x" * 300})
_DO: Final = [model.model_fields["do"] for model in MODELS if "do" in model.model_fields]
STEP_KINDS: Final = sorted(get_args(field.annotation)[0] for field in _DO)


def campaign() -> bool:
    """Whether more is wanted than in the suite: programs, too, that take long to compile the first time."""
    return "PERCPU_EMU_FUZZ_RUNS" in os.environ


def inputs(default: int) -> int:
    """How many inputs a test tries, of so many in the suite: a campaign asks for more."""
    scale = float(os.environ.get("PERCPU_EMU_FUZZ_INPUTS", "0"))
    return int(scale) or default


def fuzzed(default: int, *, runs: bool = False) -> Any:
    """Settings and seed of a test: derandomized by the profile, unless a campaign has given a seed."""
    count = inputs(default) if not runs else int(os.environ.get("PERCPU_EMU_FUZZ_RUNS", "0")) or default
    given = os.environ.get("PERCPU_EMU_FUZZ_SEED")
    settings = hypothesis.settings(
        max_examples=count,
        derandomize=given is None,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )

    def decorate(test: Any) -> Any:
        return settings(test if given is None else hypothesis.seed(int(given))(test))

    return decorate


# --- TOML from a document


def toml(document: Document) -> str:
    """The document, one line a key."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in document.items())


def _value(value: Any) -> str:
    match value:
        case Raw():
            return str(value)
        case bool():
            return str(value).lower()
        case str():
            return _key(value)
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return str(value)


def _key(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- documents


def _nodes(value: Any, path: Path = ()) -> list[Path]:
    """Where everything stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, part in inner for deeper in _nodes(part, (*path, key)))]


def _at(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


FIXED: Final = [*NUMBERS, *STRINGS, *OTHERS, *STEP_KINDS]
DRAWN: Final = st.text(max_size=20) | st.integers() | st.floats()


def _pick(draw: st.DrawFn, options: Sequence[Any]) -> Any:
    """One of them; `sampled_from` takes ten times as long, and there are many."""
    return options[draw(st.integers(0, len(options) - 1))]


def _anything(draw: st.DrawFn) -> Any:
    found = _pick(draw, [*FIXED, DRAWN, DRAWN, PARTS, PARTS])
    if found is DRAWN:
        return draw(DRAWN)
    return copy.deepcopy(_pick(draw, PARTS) if found is PARTS else found)


PARTS: Final = [_at(document, path) for document in DOCUMENTS.values() for path in _nodes(document)[1:]]
OF_A_KEY: Final[dict[Any, list[Any]]] = {}
for _document in DOCUMENTS.values():
    for _path in _nodes(_document)[1:]:
        OF_A_KEY.setdefault(_path[-1], []).append(_at(_document, _path))
MOST_NODES: Final = 5000


def _deep(depth: int, kind: str) -> Raw:
    times = "times = 1, " if kind == "repeat" else ""
    return Raw(f'{{ do = "{kind}", {times}steps = [' * depth + '{ do = "settle" }' + "] }" * depth)


def _mutation(draw: st.DrawFn, document: Document) -> None:  # noqa: C901 - one case a kind
    """Change one thing, in place."""
    nodes = _nodes(document)[1:] or [("name",)]
    if len(nodes) > MOST_NODES:
        return
    path = nodes[draw(st.integers(0, len(nodes) - 1))]
    above, key = _at(document, path[:-1]), path[-1]
    kind = _pick(draw, ["value", "value", "another", "another", "drop", "rename", "add", "twice", "nest", "top"])
    match kind:
        case "value":
            above[key] = _anything(draw)
        case "another":
            above[key] = copy.deepcopy(_pick(draw, OF_A_KEY.get(key, PARTS) if draw(st.booleans()) else PARTS))
        case "drop" if key in above or isinstance(key, int):
            del above[key]
        case "rename" if isinstance(above, dict) and key in above:
            above[_pick(draw, KEYS)] = above.pop(key)
        case "add":
            around = (_at(document, path[:n]) for n in range(len(path), -1, -1))
            table = next(part for part in around if isinstance(part, dict))
            table[_pick(draw, KEYS)] = _anything(draw)
        case "twice" if isinstance(above, list):
            above.extend([above[key]] * _pick(draw, [1, 2, 50, 1000]))
        case "nest":
            steps = document.get("steps")
            deep = _deep(_pick(draw, [1, 3, 30, 90, 150, 400]), _pick(draw, ["repeat", "during"]))
            document["steps"] = [*(steps if isinstance(steps, list) else []), deep]
        case "top":
            other = DOCUMENTS[_pick(draw, sorted(DOCUMENTS))]
            name = _pick(draw, sorted(other))
            document[name] = copy.deepcopy(other[name])
        case _:
            above[key] = None if isinstance(above, dict) and key not in above else _anything(draw)
            if above[key] is None:
                del above[key]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A bundled scenario with up to five things changed, as the bytes of its file; some are no TOML any more."""
    name = _pick(draw, sorted(DOCUMENTS))
    if draw(st.integers(0, 9)) == 0:
        return _damaged(draw, toml(DOCUMENTS[name]).encode())
    document = copy.deepcopy(DOCUMENTS[name])
    for _ in range(_pick(draw, [1, 1, 1, 2, 3, 5])):
        _mutation(draw, document)
    if draw(st.integers(0, 9)) < 3:
        document["faults"] = {"inject": [_injection(draw) for _ in range(draw(st.integers(1, 3)))]}
    data = toml(document).encode(errors="surrogatepass")
    return _damaged(draw, data) if draw(st.integers(0, 19)) == 0 else data


def _damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes or lines missing, doubled, or others than they were."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        end = at + _pick(draw, [0, 1, 2, 10, 200, len(data)])
        fixed = [b"", b"\0", b"\xff\xfe", b"\n", b'"', b"[", b"]]", b"=", b"\r"]
        piece = _pick(draw, [draw(st.binary(max_size=4)), data[at:end] * 2, *fixed])
        data = data[:at] + piece + data[end:]
    if draw(st.booleans()):
        lines = data.splitlines(keepends=True)
        if lines:
            data += lines[draw(st.integers(0, len(lines) - 1))]
    return data


# --- scenarios that are small enough to be run

_PATHS: Final = ["a", "a", "a", "a", "b", "b", "c{i}", "."]
_NEW: Final = ["n1", "n2", "n{i}", "n{i}", "a/b", "b/b", "a"]
SMALL_FAULTS: Final = [
    "kill@1%",
    "kill",
    "kill@#3",
    "stop:1ms@1%",
    "sleep:20us@5%",
    "yield",
    "preempt",
    "migrate",
    "delay:1us",
]


def _step(draw: st.DrawFn, depth: int = 0) -> Document:
    kind = _pick(draw, [kind for kind in STEP_KINDS if depth < 2 or kind not in ("repeat", "during")])
    step: Document = {"do": kind}
    match kind:
        case "mkdir":
            step |= {"cgroup": _pick(draw, _NEW), "publish": draw(st.booleans())}
        case "attach" | "rmdir" | "uncharge":
            step["cgroup"] = _pick(draw, _PATHS)
        case "charge":
            step |= {
                "kind": _pick(draw, ["page-cache", "mlock", "vfs-cache", "slab"]),
                "objects": draw(st.integers(1, 5)),
            }
            step |= {"cgroup": _pick(draw, _PATHS)} if draw(st.booleans()) else {}
        case "wait":
            step["seconds"] = 0.01
        case "read":
            step["to"] = _pick(draw, ["before", "after", "end"])
        case "offline" | "online":
            step["cpu"] = _pick(draw, ["random", 0, 1, 2])
        case "repeat" | "during":
            step |= {"times": _pick(draw, ["cgroups", 1, 2])} if kind == "repeat" else {"seconds": 0.03}
            step["steps"] = [_step(draw, depth + 1) for _ in range(draw(st.integers(1, 4)))]
    return step


_WORKERS: Final = [
    {"program": "charge"},
    {"program": "charge", "cpus": [0]},
    {"program": "charge", "stretch": 1, "pace": 1000},
]
_INTERRUPTS: Final = [
    {"program": "this_cpu_charge", "rate": 500.0},
    {"program": "this_cpu_charge", "by": "coordinator"},
]
_FIGURES: Final = [
    *["patched.updates", "patched.releases", "original.updates", "patched.end.percpu_kb", "patched.offlined"] * 3,
    "updates",
    "patched.after.slab_kb",
    "before.percpu_kb",
    "after",
    "[/x]",
    "original.after.x",
    "a.b",
    "",
]


def _expectation(draw: st.DrawFn) -> Document:
    condition = _pick(draw, ["equals", "at_least", "growth_within"])
    return {"figure": _pick(draw, _FIGURES), condition: _pick(draw, [0.0, 1.0, float("nan"), float("inf"), -1e308])}


@st.composite
def runnable(draw: st.DrawFn, *, all_workers: bool = False) -> bytes:
    """A scenario with steps in any order, many of which the machine refuses; faults, interrupts, expectations."""
    document: Document = {
        "name": "fuzz", "summary": _pick(draw, ["small", "[/bold] [red", "{0} %s"]), "seconds": 0.03, "cgroups": 2,
        "table": _pick(draw, [1, 2, 8]), "protocols": _pick(draw, [["patched"], ["original"], ["original", "patched"]]),
        "machine": {"cpus": draw(st.integers(1, 3)), "control_cpu": draw(st.booleans()),
                    "stall_seconds": _pick(draw, [21.0, 0.001])},
        "workers": [] if draw(st.integers(0, 4)) == 0 else [_pick(draw, _WORKERS)],
    }  # fmt: skip
    if draw(st.integers(0, 2)):  # workers have something to do
        document["steps"] = [{"do": "mkdir", "cgroup": path, "publish": True} for path in ("a", "b", "c1")]
    document["steps"] = document.get("steps", []) + [_step(draw) for _ in range(draw(st.integers(1, 6)))]
    if draw(st.integers(0, 2)) == 0:
        where = ["all", "mod_memcg_state", "charge:1", "css_offline", "percpu_rcu_free"]
        lines = [f"{_pick(draw, where)}={_pick(draw, SMALL_FAULTS)}" for _ in range(draw(st.integers(1, 3)))]
        document["faults"] = {"inject": lines, "revive": draw(st.booleans()), "chaos": draw(st.integers(0, 9)) == 0}
    if all_workers and document["workers"] and draw(st.booleans()):
        worker = _pick(draw, ["charge", "page_cache_churn", "raw_add", "this_cpu_charge"])
        document["workers"] = [{**document["workers"][0], "program": worker}]
    if all_workers and draw(st.integers(0, 3)) == 0:
        document["interrupts"] = [_pick(draw, _INTERRUPTS)]
    if draw(st.integers(0, 2)) == 0:
        document["expect"] = [_expectation(draw) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 3)) == 0:
        figures = {"nr_dying_descendants": _pick(draw, [0, 1, -1]), "slab_kb": _pick(draw, [0, 5]), "percpu_kb": 2**62}
        document["letter"] = {"patched": {"before": figures, "after": figures}}
    document = copy.deepcopy(document)
    if draw(st.integers(0, 9)) == 0:
        _mutation(draw, document)
    return toml(document).encode(errors="surrogatepass")


WORDS: Final = [0, 1, 2, 3, -1, 63, 64, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63), "cpu", "turn"]


def _other_exploration(draw: st.DrawFn, document: Document) -> None:  # noqa: C901 - one case a kind
    """Change one thing into another that the schema allows."""
    explore: Document = document["explore"]
    context: Document = _pick(draw, explore["contexts"])
    programs = [explore.get("setup"), explore.get("total"), *(other["program"] for other in explore["contexts"])]
    names = [name for name in programs if name] + ["read_once", "tuple"]
    match draw(st.integers(0, 9)):
        case 0:
            context["args"] = [_pick(draw, WORDS) for _ in range(_pick(draw, [0, 1, 1, 1, 2]))]
        case 1:
            context["turns"] = _pick(draw, [1, 2, 3])  # shrinking 1000 turns takes far longer than --max-seconds
        case 2:
            context["cpus"] = _pick(draw, ["all", [], [0], [0, 0], [1, 0], [0] * 60])
        case 3:
            context["kind"] = _pick(draw, ["task", "interrupt", "offline", "kill"])
        case 4:
            context["program"] = _pick(draw, names)
        case 5:
            explore[_pick(draw, ["setup", "total", "final", "invariant"])] = _pick(draw, names)
        case 6:
            name = _pick(
                draw, ["MEMCG_CHARGE_BATCH", "MEMCG_NR_STAT", "NO_SUCH", "STATIC", "OBJECT_WORDS", "TOTAL", "SLOTS"]
            )
            explore.setdefault("constants", {})[name] = _pick(draw, WORDS[:-2])
        case 7:
            explore[_pick(draw, ["left", "bound"])] = _pick(draw, [0, 1, 10**6])
        case 8:
            explore |= {"exclusive": True, "sometimes": [_pick(draw, ["atomic path", "no such", ""])]}
            explore["after"] = {_pick(draw, [f"{names[0]}:1", "atomic path", ":", ""]): _pick(draw, names)}
            explore["allocations_fail"] = _pick(draw, [0, 1, 8])
            explore["progress"] = _pick(draw, ["possible", "fair"])
            context["migrates"] = _pick(draw, [0, 1, 8])
        case 9:
            document["machine"] = {"cpus": _pick(draw, [1, 2, 3, 16, 17]), "nodes": 1}
            explore["contexts"] = explore["contexts"] * _pick(draw, [1, 2, 5])


@st.composite
def explorable(draw: st.DrawFn) -> bytes:
    """A bundled scenario to explore, with one to three things changed."""
    name = _pick(draw, sorted(name for name, document in DOCUMENTS.items() if "explore" in document))
    document = copy.deepcopy(DOCUMENTS[name])
    for _ in range(draw(st.integers(1, 3))):
        _other_exploration(draw, document)
    if draw(st.integers(0, 9)) == 0:
        _mutation(draw, document)
    return toml(document).encode(errors="surrogatepass")


# --- faults

_PROGRAMS: Final = ["all", "mod_memcg_state", "charge", "percpu_rcu_free", "css_offline", "no_such", "raw_add"]
_POINTS: Final = [
    "",
    ":all",
    ":1",
    ":4",
    ":0",
    ":-1",
    ":99999999999999999999",
    ":this_cpu_write",
    ":no_such",
    ":",
    ":1:2",
]
_TIMES: Final = ["", ":1ms", ":50us", ":1ns", ":10s", ":11s", ":0s", ":1e3ms", ":9999999s", ":.5ms", ":1m", ":"]
_WHEN: Final = ["", "@25%", "@100%", "@0%", "@100.1%", "@0.000000001%", "@#1", "@#0", "@#9", "@", "@%", "@nan%"]


@st.composite
def injections(draw: st.DrawFn) -> str:
    """A line for `--inject`, right or wrong."""
    return _injection(draw)


def _injection(draw: st.DrawFn) -> str:
    parts = [
        _pick(draw, _PROGRAMS), _pick(draw, _POINTS), "=", _pick(draw, [*KINDS, *KINDS, "", "boom", "Delay"]),
        _pick(draw, _TIMES), _pick(draw, _WHEN),
    ]  # fmt: skip
    line = "".join(parts)
    for _ in range(_pick(draw, [0, 0, 0, 1, 2])):
        at = draw(st.integers(0, len(line)))
        piece = _pick(draw, [*"=:@%# \n\0٣é", "", "x" * 300, "\udcff"])
        line = line[:at] + piece + line[at + draw(st.integers(0, 2)) :]
    return line
