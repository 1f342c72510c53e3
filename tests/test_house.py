"""The house as a whole: who imports whom, what is documented, and what the documents say."""

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
from numpydoc.validate import validate

import sklearn_ckn
from sklearn_ckn import inspection, onnx, preprocessing, presets

PACKAGE = Path(sklearn_ckn.__file__).parent
REPOSITORY = Path(__file__).parent.parent

FLOORS = [  # every module imports from floors below its own only; this is the whole package
    {"_core.machine", "_core.simd"},
    {"_core.panels", "_core.products", "_core.lbfgs", "_core.losses"},
    {"_core.kappa", "_core.patches", "_core.pooling", "_core.nystroem", "_core.kmeans", "_core.transforms"},
    {"_core.encode", "_core.fused", "_core.covariance", "_core.relations", "_core.sampling", "_core.zca"},
    {"_core.direct", "_core.one_patch", "_core.winograd", "_core.solver", "_core.ring"},
    {"_core.blocks", "_core.pairs"},
    {"_core.gram", "_core.gradients"},
    {"_core.descent"},
    {"_stores", "_threads", "_persistence", "_progress", "_checkpoint", "_maps"},
    {"_signals"},
    {"_lazy"},
    {"_validation"},
    {"_flatten", "_layer", "_slopes", "_targets", "_training", "preprocessing"},
    {"_linear", "_network"},
    {"_feature_map", "_kernel", "_end_to_end"},
    {"_supervised", "presets"},
    {"persistence", "_environment"},
    {"inspection._norms", "inspection._deformation", "inspection._fitted", "inspection._display"},
    {"inspection._approximation", "inspection._stability"},
    {"inspection._charts", "inspection._grids", "inspection._matrices"},
    {"onnx._graph"},
    {"onnx._layers"},
    {"onnx._steps"},
    {"onnx._export"},
]
LIBRARIES_OF_CORE = {"numpy", "scipy", "numba", "llvmlite", "threadpoolctl"}


def imports_of(path):
    """Modules of the package, and top-level names of others, that a file imports."""
    own, others = set(), set()
    package = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level], *([node.module] if node.module else [])]
            for alias in node.names:
                deeper = PACKAGE.joinpath(*base, alias.name + ".py")
                name = ".".join([*base, alias.name] if deeper.exists() else base)
                if name:
                    own.add(name)
    return own, others


def test_imports_run_downward():
    floor = {module: level for level, modules in enumerate(FLOORS) for module in modules}
    files = {path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files} == set(floor)
    for path in files:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        own, others = imports_of(path)
        assert all(floor[name] < floor[module] for name in own), f"{module} imports {own}"
        if module.startswith("_core"):
            assert not others - LIBRARIES_OF_CORE - set(__import__("sys").stdlib_module_names), f"{module}: {others}"


def public_names():
    methods = "fit partial_fit transform get_feature_names_out set_output decision_function predict predict_proba"
    methods = f"{methods} predict_log_proba __call__ diag is_stationary from_estimator plot".split()
    for module in (sklearn_ckn, inspection, onnx, preprocessing, presets):
        prefix = module.__name__.removeprefix("sklearn_ckn").removeprefix(".")
        prefix = prefix and prefix + "."
        for name in module.__all__:
            yield prefix + name, False
            for method in methods:
                function = getattr(getattr(module, name), method, None)
                if getattr(function, "__module__", "").startswith("sklearn_ckn"):
                    yield f"{prefix}{name}.{method}", True


@pytest.mark.parametrize("name, is_method", public_names())
def test_docstrings_follow_numpydoc(name, is_method):
    optional = {"ES01", "RT02"}  # RT02: returns are named, as in sklearn
    optional |= {"EX01", "SA01"} if is_method else set()
    errors = [text for code, text in validate(f"sklearn_ckn.{name}")["errors"] if code not in optional]
    assert not errors


def test_examples_in_docstrings():
    n_examples = 0
    for module in pkgutil.walk_packages(sklearn_ckn.__path__, "sklearn_ckn."):
        result = doctest.testmod(importlib.import_module(module.name))
        assert result.failed == 0
        n_examples += result.attempted
    assert n_examples > 10


PAGES = ["README.rst", "CHANGELOG.rst", *(f"doc/{path.name}" for path in sorted((REPOSITORY / "doc").glob("*.rst")))]
EXECUTED = {"README.rst": 10, "doc/out_of_core.rst": 10, "doc/clusters.rst": 10, "doc/deployment.rst": 10}  # at least


@pytest.mark.parametrize("page", EXECUTED)
def test_what_pages_say_is_so(page):
    result = doctest.testfile(str(REPOSITORY / page), module_relative=False)
    assert result.failed == 0 and result.attempted >= EXECUTED[page]


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_valid_rst_and_their_figures_exist(page):
    core, path = pytest.importorskip("docutils.core"), REPOSITORY / page
    settings = {"halt_level": 2, "report_level": 2}
    tree = core.publish_doctree(path.read_text(), source_path=str(path), settings_overrides=settings)
    named = [node.get("uri") or node.get("refuri") for node in tree.findall() if node.tagname in ("image", "reference")]
    assert all((path.parent / uri).exists() for uri in named if uri and ":" not in uri)
