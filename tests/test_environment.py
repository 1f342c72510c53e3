"""The environment of the package: warm-up, versions, and what an import brings along."""

from fresh_process import FIT_FEATURE_MAP, RECORD_COMPILATIONS, run


def test_nothing_is_compiled_after_a_warmup(tmp_path):
    warmup = """
        import sklearn_ckn
        from sklearn.pipeline import make_pipeline
        from sklearn_ckn import CKNFeatureMap, CKNLayer
        sklearn_ckn.warmup(CKNFeatureMap(make_pipeline(CKNLayer(4), CKNLayer(4)), n_jobs=2), shape=(8, 8))
    """
    count = "print(len(compilations.buffer))"
    cold, warm = (
        int(run(RECORD_COMPILATIONS, code, count, NUMBA_CACHE_DIR=str(tmp_path))) for code in (warmup, FIT_FEATURE_MAP)
    )
    assert cold > 0
    assert warm == 0


def test_a_warmup_covers_all_signals_of_the_same_shape():
    """A single signal, and signals that are read-only, not contiguous or integers, need no further compilation."""
    code = """
        import gc
        import numpy as np
        from numba.core.dispatcher import Dispatcher
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC
        from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, CKNRegressor, Flatten
        from sklearn_ckn import LinearClassifier, LinearRegressor, PatchWhitening, preprocessing, warmup

        dispatchers = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]

        def signatures():
            return {(each.py_func.__qualname__, str(args)) for each in dispatchers for args in each.signatures}

        def variants(X):
            read_only = X.copy()
            read_only.flags.writeable = False
            return [X, read_only, X[::-1], X[..., ::-1], np.asfortranarray(X), (99 * X).astype(np.uint8)]

        def layer(n_filters=8, **options):
            return CKNLayer(n_filters, n_patches=100, max_iter=1, **options)

        network = make_pipeline(layer(), layer())
        cases = {
            "maps": (make_pipeline(PatchWhitening(), CKNFeatureMap(network), LinearClassifier()), (9, 9, 3)),
            "Winograd": (layer(16), (9, 9, 16)),
            "single patch": (layer(patch_size=9, padding="valid", pooling_width=1), (9, 9)),
            "centred": (CKNFeatureMap(layer(patch_centering=True)), (9, 9)),
            "series": (make_pipeline(preprocessing.Differences(), layer(ndim=1)), (20, 2)),
            "volumes": (layer(ndim=3), (5, 5, 5)),
            "linear": (make_pipeline(Flatten(), LinearClassifier()), (9, 9)),
            "regression": (make_pipeline(Flatten(scale=True), LinearRegressor()), (9, 9)),
            "classifier": (CKNClassifier(network, max_iter=1), (9, 9)),
            "regressor": (CKNRegressor(network, max_iter=1), (9, 9)),
            "kernel": (SVC(kernel=CKNKernel(CKNLayer(sigma=0.6, input_shape=(9, 9)))), (81,)),
        }
        methods = "transform predict decision_function predict_proba predict_log_proba".split()
        rng = np.random.RandomState(0)
        for name, (estimator, shape) in cases.items():
            for dtype in ("float32", "float64"):
                warmup(estimator, shape, dtype)
                X = rng.rand(30, *shape).astype(dtype)
                fitted, known = estimator.fit(X, np.arange(30) % 2), signatures()
                for n in (1, 5):
                    for signals in variants(X[:n].copy()):
                        if signals.dtype != np.uint8 or dtype == "float32":
                            for method in filter(partial(hasattr, fitted), methods):
                                getattr(fitted, method)(signals)
                    print(*(f"{name} {dtype} {n}: {new}\\n" for new in signatures() - known), end="")
        print("end")
    """
    assert run("import warnings; warnings.simplefilter('ignore'); from functools import partial", code) == "end\n"


def test_warmup_without_a_cache_folder_gives_a_warning():
    warm = """
        import warnings, sklearn_ckn
        with warnings.catch_warnings(record=True) as caught:
            sklearn_ckn.warmup(sklearn_ckn.Flatten(), shape=(8, 8))
        print(caught[0].message)
        sklearn_ckn.show_versions()
    """
    printed = run(warm, SKLEARN_CKN_CACHE="0")
    assert "Set the environment variable NUMBA_CACHE_DIR" in printed and "compiled code: kept in memory only" in printed


def test_show_versions_prints_versions_and_the_cache_folder(tmp_path):
    printed = run("import sklearn_ckn; sklearn_ckn.show_versions()", NUMBA_CACHE_DIR=str(tmp_path))
    for name in ("sklearn_ckn: 0", "numba: 0", "processor: ", "openblas", f"compiled code: {tmp_path}"):
        assert name in printed


def test_import_loads_no_libraries_except_the_required_ones():
    code = """
        import sys
        import joblib, numba, scipy.linalg, scipy.sparse, sklearn.pipeline, sklearn.utils.validation
        before = {name.partition(".")[0] for name in sys.modules}
        import sklearn_ckn
        print({name.partition(".")[0] for name in sys.modules} - before)
    """
    assert run(code).strip() == "{'sklearn_ckn'}"
