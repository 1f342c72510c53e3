"""The house as a whole: who imports whom, what is documented, and what the documents say."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import typing
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.utils._param_validation import StrOptions

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
    {"_typing"},
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
    methods = f"{methods} predict_log_proba __call__ diag is_stationary set_params from_estimator plot".split()
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


@pytest.mark.parametrize("name", [name for name, _ in public_names()])
def test_signatures_tell_all_types(name):
    found = pkgutil.resolve_name(f"sklearn_ckn.{name}")
    function = found.__init__ if isinstance(found, type) else found
    named = inspect.signature(function).parameters.keys() - {"self"}
    assert typing.get_type_hints(function).keys() == named | {"return"}


ESTIMATORS = [name for name in sklearn_ckn.__all__ if hasattr(getattr(sklearn_ckn, name), "_parameter_constraints")]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_signatures_name_what_is_accepted(name):
    estimator = getattr(sklearn_ckn, name)
    hints, accepted = typing.get_type_hints(estimator.__init__), estimator._parameter_constraints
    for parameter in accepted.keys() - {"sigma_bounds"}:  # which has a check of its own
        parts = [hints[parameter], *typing.get_args(hints[parameter])]
        named = [set(typing.get_args(part)) for part in parts if typing.get_origin(part) is typing.Literal]
        options = [each.options for each in accepted[parameter] if isinstance(each, StrOptions)]
        assert named == options, parameter


def test_examples_in_docstrings():
    n_examples = 0
    for module in pkgutil.walk_packages(sklearn_ckn.__path__, "sklearn_ckn."):
        result = doctest.testmod(importlib.import_module(module.name))
        assert result.failed == 0
        n_examples += result.attempted
    assert n_examples > 10


PAGES = ["README.rst", *(f"doc/{path.name}" for path in sorted((REPOSITORY / "doc").glob("*.rst")))]
EXECUTED = [page for page in PAGES if ">>> " in (REPOSITORY / page).read_text()]
LONG = ["README.rst", "doc/out_of_core.rst", "doc/clusters.rst", "doc/deployment.rst"]  # of ten lines at least


def test_pages_have_examples():
    assert len(EXECUTED) > 10 and set(LONG) <= set(EXECUTED)


@pytest.mark.parametrize("page", EXECUTED)
def test_what_pages_say_is_so(page):
    result = doctest.testfile(str(REPOSITORY / page), module_relative=False)
    assert result.failed == 0 and result.attempted >= (10 if page in LONG else 3)


@pytest.mark.parametrize("page", ["README.rst", "CHANGELOG.rst"])
def test_pages_are_valid_without_sphinx(page):
    core = pytest.importorskip("docutils.core")
    core.publish_doctree((REPOSITORY / page).read_text(), settings_overrides={"halt_level": 2, "report_level": 2})


def test_readme_names_what_exists():
    named = re.findall(r"``((?:examples|benchmarks|doc)/[\w/]+\.\w+)``", (REPOSITORY / "README.rst").read_text())
    assert named and all((REPOSITORY / path).exists() or path.startswith("doc/_build") for path in named)
