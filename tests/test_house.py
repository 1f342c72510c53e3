"""The package as a whole: its imports, its signatures and docstrings, and the examples in its documentation."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import runpy
import sys
import typing
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.utils._param_validation import StrOptions

import sklearn_ckn
from sklearn_ckn import inspection, onnx, preprocessing, presets

PACKAGE = Path(sklearn_ckn.__file__).parent
REPOSITORY = Path(__file__).parent.parent

PARTS = {  # part of the package -> other parts that its files import
    "_core.runtime": "",
    "_core.layer": "_core.runtime",
    "_core.linear": "_core.runtime",
    "_core.multiple_kernels": "_core.runtime _core.linear",
    "_core.filters": "_core.runtime _core.layer",
    "_core.network": "_core.runtime _core.layer",
    "_core.exact": "_core.runtime _core.layer",
    "_core.gradient_map": "_core.layer",
    "_core.patch_whitening": "_core.layer",
    "_core.riemannian_sgd": "_core.runtime _core.layer _core.linear _core.network",
    "_utils": "",
    "_arrays": "_core.runtime _core.layer _core.network _utils",
    "_flatten": "_core.layer _utils _arrays",
    "_layer": "_core.layer _core.filters _utils _arrays",
    "_network": "_core.layer _arrays _layer",
    "_feature_map": "_core.layer _utils _arrays _flatten _network",
    "_kernel": "_core.layer _core.exact _utils _arrays _layer _network",
    "_targets": "_core.linear _core.riemannian_sgd _utils _arrays",
    "_linear": "_core.linear _utils _arrays _targets",
    "_auto": "_core.runtime _core.layer _core.linear _core.multiple_kernels _utils _arrays _layer _network _feature_map"
    " _targets _linear preprocessing",
    "_training": "_core.runtime _core.layer _core.linear _core.riemannian_sgd _utils _arrays",
    "_end_to_end": "_core.layer _core.filters _core.riemannian_sgd _utils _arrays _network _targets _training",
    "_supervised": "_core.linear _utils _arrays _network _targets _end_to_end",
    "preprocessing": "_core.runtime _core.layer _core.gradient_map _core.patch_whitening _utils _arrays",
    "presets": "_utils _arrays _layer",
    "persistence": "_auto _flatten _layer _feature_map _kernel _linear _supervised preprocessing",
    "_environment": "_core.runtime _core.layer _utils _layer _auto",
    "inspection": "_core.layer _utils _arrays _flatten _layer _network _feature_map _kernel",
    "onnx": "_auto _arrays _core.gradient_map _core.layer _core.linear _flatten _layer _network _feature_map _targets"
    " _linear _supervised preprocessing",
}
LIBRARIES_OF_CORE = {"numpy", "scipy", "numba", "llvmlite", "threadpoolctl"}


def imports_of(path):
    """Return the modules of the package that a file imports, and the top-level names of other modules."""
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


def part_of(module):
    """Return the part of the package to which a module belongs."""
    names = module.split(".")
    return ".".join(names[:2]) if names[0] == "_core" else names[0]


def modules():
    """Return the files of all modules by the names of the modules."""
    files = {path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in files}


def test_parts_import_exactly_the_parts_that_are_listed():
    used = {part: set() for part in PARTS}
    for module, path in modules().items():
        own, others = imports_of(path)
        used[part_of(module)] |= {part_of(name) for name in own} - {part_of(module)}
        if module.startswith("_core"):
            assert not others - LIBRARIES_OF_CORE - set(sys.stdlib_module_names), f"{module}: {others}"
    assert used == {part: set(allowed.split()) for part, allowed in PARTS.items()}


def test_imports_have_no_cycles():
    graph = {module: imports_of(path)[0] & modules().keys() for module, path in modules().items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)  # raises CycleError


@pytest.mark.parametrize("folder", sorted({path.parent for path in (PACKAGE / "_core").rglob("*.py")}))
def test_subpackages_of_the_core_list_their_files(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    for path in [*folder.glob("*.py"), *folder.glob("*/__init__.py")]:
        name = path.parent.name if path.name == "__init__.py" else path.stem
        if path.parent != folder or path.name != "__init__.py":
            assert re.search(rf"^{name} ", text, re.MULTILINE), f"{folder.name}/__init__.py does not name {name}"


def public_names():
    """Yield the names of all public classes, functions and methods, and whether each is a method."""
    methods = "fit partial_fit transform get_feature_names_out set_output decision_function predict predict_proba"
    methods = (
        f"{methods} predict_log_proba __call__ diag is_stationary set_params from_estimator plot to_pipeline".split()
    )
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
    optional = {"ES01", "RT02"}  # RT02 forbids names of results, but scikit-learn uses them.
    optional |= {"EX01", "SA01"} if is_method else set()
    errors = [text for code, text in validate(f"sklearn_ckn.{name}")["errors"] if code not in optional]
    assert not errors


@pytest.mark.parametrize("name", [name for name, _ in public_names()])
def test_signatures_annotate_all_parameters_and_results(name):
    found = pkgutil.resolve_name(f"sklearn_ckn.{name}")
    function = found.__init__ if isinstance(found, type) else found
    named = inspect.signature(function).parameters.keys() - {"self"}
    assert typing.get_type_hints(function).keys() == named | {"return"}


ESTIMATORS = [name for name in sklearn_ckn.__all__ if hasattr(getattr(sklearn_ckn, name), "_parameter_constraints")]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_signatures_list_the_strings_that_are_accepted(name):
    estimator = getattr(sklearn_ckn, name)
    hints, accepted = typing.get_type_hints(estimator.__init__), estimator._parameter_constraints
    for parameter in accepted.keys() - {"sigma_bounds"}:  # Its values are checked by a function.
        parts = [hints[parameter], *typing.get_args(hints[parameter])]
        named = [set(typing.get_args(part)) for part in parts if typing.get_origin(part) is typing.Literal]
        options = [each.options for each in accepted[parameter] if isinstance(each, StrOptions)]
        assert named == options, parameter


def test_examples_in_docstrings_pass():
    n_examples = 0
    for module in pkgutil.walk_packages(sklearn_ckn.__path__, "sklearn_ckn."):
        result = doctest.testmod(importlib.import_module(module.name))
        assert result.failed == 0
        n_examples += result.attempted
    assert n_examples > 10


PAGES = ["README.rst", *(f"doc/{path.name}" for path in sorted((REPOSITORY / "doc").glob("*.rst")))]
EXECUTED = [page for page in PAGES if ">>> " in (REPOSITORY / page).read_text()]
LONG = [
    "README.rst",
    "doc/out_of_core.rst",
    "doc/clusters.rst",
    "doc/deployment.rst",
]  # ten examples or more


def test_pages_have_examples():
    assert len(EXECUTED) > 10 and set(LONG) <= set(EXECUTED)


@pytest.mark.parametrize("page", EXECUTED)
def test_examples_in_pages_pass(page):
    result = doctest.testfile(str(REPOSITORY / page), module_relative=False)
    assert result.failed == 0 and result.attempted >= (10 if page in LONG else 3)


@pytest.mark.parametrize("page", ["README.rst", "CHANGELOG.rst"])
def test_pages_are_valid_without_sphinx(page):
    core = pytest.importorskip("docutils.core")
    core.publish_doctree((REPOSITORY / page).read_text(), settings_overrides={"halt_level": 2, "report_level": 2})


def test_paths_in_the_readme_exist():
    named = re.findall(r"``((?:examples|benchmarks|doc)/[\w/]+\.\w+)``", (REPOSITORY / "README.rst").read_text())
    assert named and all((REPOSITORY / path).exists() or path.startswith("doc/_build") for path in named)


def test_cited_papers_are_in_the_bibliography():
    entries = (REPOSITORY / "doc" / "references.bib").read_text()
    keys = set(re.findall(r"^@\w+\{(\w+),$", entries, re.MULTILINE))
    papers = set(re.findall(r"author = \{(\w+)(?:.|\n)*?year = \{(\d+)\}", entries))
    citation = re.compile(r"([A-Z]\w+)(?: et al\.|(?:, [A-Z]\w+)* and [A-Z]\w+)?,? \(?((?:19|20)\d\d)\b")
    for folder in ("doc/*.rst", "examples/*.py", "benchmarks/*.py", "sklearn_ckn/_core/**/*.py"):
        for path in REPOSITORY.glob(folder):
            assert set(re.findall(r":cite(?::t)?:`(\w+)`", path.read_text())) <= keys, path
            assert set(citation.findall(path.read_text())) <= papers, path


def test_an_installation_with_an_older_python_states_which_one_is_needed(monkeypatch):
    pytest.importorskip("setuptools")
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later"):
        runpy.run_path(str(REPOSITORY / "setup.py"))
