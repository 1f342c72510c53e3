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
