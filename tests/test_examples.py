"""The examples run, draw and print: a file of few long tests, so that it is given to a process last."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("plot_*.py")), ids=lambda path: path.stem)
def test_examples_run(path, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    assert pyplot.get_fignums() and capsys.readouterr().out
    pyplot.close("all")
