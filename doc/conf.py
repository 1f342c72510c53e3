"""Configuration of Sphinx: ``make html`` in this folder, offline."""

import sys
import warnings
from pathlib import Path

import sklearn_ckn

sys.path.insert(0, str(Path(__file__).parent))  # for the functions below that are named conf.*

project = "sklearn_ckn"
author = "the sklearn_ckn developers"
version = release = sklearn_ckn.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "gallery/*.ipynb", "**/backreferences"]
default_role = "literal"
smartquotes = False  # quotes are those of code
toc_object_entries_show_parents = "hide"
highlight_language = "text"  # formulas in docstrings; code says what it is
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

autosummary_generate = True
autodoc_typehints = "none"  # types are in the docstrings, with the shapes
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

GALLERY = [  # from the first steps to special needs
    "plot_digits.py",
    "plot_image_folder.py",
    "plot_sizes.py",
    "plot_colours.py",
    "plot_signals.py",
    "plot_dilations.py",
    "plot_textures.py",
    "plot_volumes.py",
    "plot_layer.py",
    "plot_filters.py",
    "plot_grid_search.py",
    "plot_time_and_accuracy.py",
    "plot_small_data.py",
    "plot_symmetries.py",
    "plot_exact_vs_approximate.py",
    "plot_stability.py",
    "plot_supervised.py",
    "plot_dask.py",
    "plot_onnx.py",
]


def place_in_gallery(name):
    return GALLERY.index(name)


def raise_warnings(gallery_conf, script, when):
    """Treat warnings of the examples as errors, except two that do not concern the package."""
    if when == "before":
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        warnings.filterwarnings("ignore", message="Persisting input arguments took")  # of joblib, on a busy machine
    else:
        warnings.resetwarnings()


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "conf.place_in_gallery",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("sklearn_ckn",),
    "reference_url": {"sklearn_ckn": None},
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "conf.raise_warnings"),
    "reset_modules_order": "both",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_ckn"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_sidebars = {"getting_started": [], "api": []}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copyright = "the sklearn_ckn developers, BSD 3-Clause licence"


def skip_what_is_not_ours(app, what, name, obj, skip, options):
    """Leave out what estimators inherit from scikit-learn."""
    function = getattr(obj, "fget", obj)
    return skip or not (getattr(function, "__module__", None) or project).startswith(project)


def setup(app):
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
