"""The house rules, read from the syntax tree: which way imports point, sizes, names, words.

Layers, from the ground up. A module imports from its own layer or from lower ones, and the imports
at the top of modules run in no circle:

1. errors; 2. labels, fields; 3. types; 4. metrics, spec; 5. report.table, which is the schema and
no picture, and therefore below the sinks; 6. the stages io, faces, runtime; 7. video;
8. report.draw and the report's page, evaluate, client; 9. pipeline; 10. stream, the pipeline of
moving pictures; 11. serve; 12. train, which the run half never imports; 13. cli, and __main__
for ``python -m mien``.

The package's __init__ names things for type checkers alone and loads them when they are used.
"""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import mien

HOME = Path(mien.__file__).parent

LAYERS = [
    ("errors",),
    ("labels", "fields"),
    ("types",),
    ("metrics", "spec"),
    ("report.table",),
    ("io", "faces", "runtime"),
    ("video",),
    ("report", "evaluate", "client"),
    ("pipeline",),
    ("stream",),
    ("serve",),
    ("train",),
    ("cli", "__main__"),
]

TRAINING = ("mien.train", "mien.cli")
NOT_ROOMS = {"utils", "util", "helpers", "helper", "common", "misc"}
HEAVY = ("torch", "cv2", "onnxruntime", "PIL", "numpy", "pandas", "rich", "tyro")


def name_of(path):
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(("mien", *(part for part in parts if part != "__init__")))


MODULES = {name_of(path): path for path in sorted(HOME.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imports(module, *, top=False):
    """The full names of the modules that `module` imports anywhere in it, or at its top."""
    for node in TREES[module].body if top else ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute here"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def own(module, *, top=False):
    return {name for name in imports(module, top=top) if within(name, "mien")}


def within(module, *rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def layer(module):
    """The layer of a module: that of the longest name that it lies within."""
    homes = [
        (len(room), level)
        for level, rooms in enumerate(LAYERS)
        for room in rooms
        if within(module, f"mien.{room}")
    ]
    assert homes, f"{module} is a new room: give it a layer in this test"
    return max(homes)[1]


def functions(module):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(TREES[module]) if isinstance(node, kinds)]


def test_the_package_is_seen():
    assert {"mien", "mien.labels", "mien.pipeline", "mien.cli.main", "mien.io.sinks"} <= set(
        MODULES
    )


def outside(*rooms):
    """The modules that lie within none of the rooms."""
    return [name for name in MODULES if not within(name, *rooms)]


def test_imports_point_down():
    upward = []
    for module in MODULES.keys() - {"mien"}:
        # The version is what the command prints, and what a run writes down.
        allowed = {"mien"} if within(module, "mien.cli", "mien.train.run") else set()
        others = own(module) - allowed
        upward += [(module, other) for other in others if layer(other) > layer(module)]
    assert upward == []


def test_imports_run_in_no_circle():
    graph = {name: own(name, top=True) for name in MODULES if name != "mien"}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) >= set(graph)


def test_torch_lives_in_train_alone():
    asking = [(m, n) for m in outside("mien.train") for n in imports(m) if within(n, "torch")]
    assert asking == []


def test_the_run_half_does_not_import_the_train_half():
    asking = [(m, n) for m in outside(*TRAINING) for n in own(m) if within(n, "mien.train")]
    assert asking == []


def reached(module):
    """Every module that is loaded as soon as `module` is: what it imports at its top, and so on."""
    found, waiting = set(), [module]
    while waiting:
        parts = waiting.pop().split(".")
        for name in (".".join(parts[: i + 1]) for i in range(len(parts))):
            if name in MODULES and name not in found:
                found.add(name)
                waiting += own(name, top=True)
    return found


def test_a_verb_loads_torch_only_when_it_trains():
    verbs = [name for name in MODULES if within(name, "mien.cli")]
    assert len(verbs) > 10
    for module in verbs:
        loaded = {name for inner in reached(module) for name in imports(inner, top=True)}
        heavy = [name for name in loaded if within(name, "torch", "onnx", "yaml", "matplotlib")]
        assert heavy == [], module


def test_files_are_short():
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_functions_are_short():
    long = [
        (module, f.name)
        for module in MODULES
        for f in functions(module)
        if f.end_lineno - f.lineno + 1 > 60
    ]
    assert long == []


def test_only_the_command_prints():
    found = [
        (m, c.lineno) for m in outside("mien.cli") for c in calls(m) if is_name(c.func, "print")
    ]
    assert found == []


def calls(module):
    return [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]


def is_name(node, *names):
    return isinstance(node, ast.Name) and node.id in names


def is_broad(handler):
    kinds = ast.walk(handler.type) if handler.type else [None]
    return any(kind is None or is_name(kind, "Exception", "BaseException") for kind in kinds)


def test_errors_are_caught_by_name():
    broad = [
        (module, node.lineno)
        for module in outside("mien.cli", "mien.serve")
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    assert broad == []


def test_rooms_are_named_after_what_is_in_them():
    assert [name for name in MODULES if NOT_ROOMS & set(name.split("."))] == []
    vague = [
        (module, node.name)
        for module in MODULES
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Handler", "Helper"))
    ]
    assert vague == []


def public(body):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [n for n in body if isinstance(n, kinds) and not n.name.startswith("_")]


def test_public_names_are_documented():
    mute = [name for name in MODULES if not ast.get_docstring(TREES[name])]
    for module in MODULES:
        nodes = public(TREES[module].body)
        inner = [m for n in nodes if isinstance(n, ast.ClassDef) for m in public(n.body)]
        asked = [node for node in (*nodes, *inner) if node.name != "forward"]
        mute += [f"{module}.{node.name}" for node in asked if not ast.get_docstring(node)]
    assert mute == []


def test_public_functions_are_annotated():
    bare = []
    for module in MODULES:
        nodes = public(TREES[module].body)
        methods = [m for n in nodes if isinstance(n, ast.ClassDef) for m in n.body]
        shown = [n for n in (*nodes, *methods) if isinstance(n, ast.FunctionDef)]
        bare += [f"{module}.{f.name}" for f in shown if not is_annotated(f)]
    assert bare == []


def is_annotated(function):
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    asked = [a for a in named if a is not None and a.arg not in ("self", "cls")]
    return function.returns is not None and all(a.annotation is not None for a in asked)


def test_the_public_names():
    assert sorted(mien.__all__) == [
        "Analyzer",
        "Client",
        "EIGHT",
        "MienError",
        "Motion",
        "Options",
        "Result",
        "SEVEN",
        "analyze",
        "analyze_all",
        "analyze_video",
        "load_classifier",
        "load_detector",
    ]
    for name in mien.__all__:
        assert getattr(mien, name) is not None
        assert name in dir(mien)
    assert mien.EIGHT[:7] == mien.SEVEN and issubclass(mien.MienError, Exception)


def test_type_checkers_see_the_same_names_and_homes():
    hints = next(node for node in TREES["mien"].body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in hints.body for alias in node.names}
    assert told == mien._HOMES
    assert sorted(told) == sorted(mien.__all__)


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'analyse'"):
        _ = mien.analyse


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_mien_loads_nothing_heavy():
    code = f"import sys, mien; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code).strip() == "[]"


def test_importing_mien_is_quick():
    """Processor time, best of a few: what else the machine does must not matter."""
    code = (
        "import time; start = time.process_time(); import mien; print(time.process_time() - start)"
    )
    assert min(float(python(code)) for _ in range(3)) < 0.15


def test_the_command_starts_without_the_heavy_parts():
    code = (
        f"import sys; from mien.cli.main import main; main(['--version']); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert python(code).splitlines() == [f"mien {mien.__version__}", "[]"]
