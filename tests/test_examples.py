"""The examples run, draw and print: all but the one that the README's first command runs."""

from pathlib import Path

import pytest

EXAMPLES = {path.stem: path for path in sorted((Path(__file__).parent.parent / "examples").glob("plot_*.py"))}
del EXAMPLES["plot_digits"]


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=EXAMPLES)
def test_examples_run(path, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    assert pyplot.get_fignums() and capsys.readouterr().out
    pyplot.close("all")
