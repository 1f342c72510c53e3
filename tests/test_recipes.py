"""The recipes of the page "Contributing", applied to a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "doc" / "contributing.rst"
INDENTATION = 4  # of code on the page
EDIT = re.compile(
    r"\.\. code-block:: python\n {4}:caption: (?P<path>\S+?)(?:, (?P<side>before|after): (?P<anchor>.*))?\n\n"
    r"(?P<code>(?:(?: {4}.*)?\n)+)"
)


def edits():
    """Yield the path, side, anchor and lines of every edit on the page.

    The lines are inserted "before" or "after" the first line that contains the anchor. A new file has neither.
    """
    for found in EDIT.finditer(PAGE.read_text()):
        lines = [line[INDENTATION:] for line in found["code"].rstrip("\n").split("\n")]
        blank = [""] * (2 if found["code"].endswith("\n\n\n") else 0)  # blank lines after a definition
        yield found["path"], found["side"], found["anchor"], lines + blank


def apply(folder, path, side, anchor, new):
    """Apply one edit to a copy of the repository."""
    if side is None:
        (folder / path).write_text("\n".join(new) + "\n")
        return
    lines = (folder / path).read_text().split("\n")
    place = next(i for i, line in enumerate(lines) if anchor in line) + (side == "after")
    lines[place:place] = new
    (folder / path).write_text("\n".join(lines))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the package and of its tests in which all recipes have been followed."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("sklearn_ckn", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for edit in edits():
        apply(folder, *edit)
    return folder


BACKWARD = "core/network/test_backward.py"
RUNS = {  # recipe -> expression that selects the tests of the new part, their files, and their minimum number
    "kernel": (
        "even",
        ["core/layer", f"{BACKWARD}::test_gradients_of_every_kernel_equal_those_of_the_definition", "core/exact"],
        28,
    ),
    "pooling": ("triangle", ["core/layer/test_pooling.py"], 4),
    "loss": ("log_cosh", ["core/linear/test_losses.py"], 2),
    "strategy": (
        "not float32",
        [
            "core/network/test_forward.py::test_transform_equals_the_definition_for_any_shape",
            f"{BACKWARD}::test_kept_products_are_those_of_patches_and_filters",
            f"{BACKWARD}::test_gradients_equal_those_of_the_definition",
            "test_layer.py::test_transform_equals_the_definition",
        ],
        26,
    ),
}


@pytest.mark.parametrize("recipe", RUNS)
def test_tests_of_the_new_part_pass(recipe, copy):
    chosen, paths, n_least = RUNS[recipe]
    command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, *(f"{copy}/tests/{path}" for path in paths)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    variables["SKLEARN_CKN_TESTS_CACHE"] = str(copy / "compiled")
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True, env=variables, check=False)
    summary = result.stdout.strip().splitlines()[-1]
    assert result.returncode == 0, result.stdout
    assert int(re.search(r"(\d+) passed", summary)[1]) >= n_least, summary


def test_page_contains_all_edits():
    paths = [path for path, *_ in edits()]
    assert len(paths) == 18 and sum(path.startswith("tests/") for path in paths) == 5
