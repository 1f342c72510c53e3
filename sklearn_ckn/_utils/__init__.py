"""Code that estimators share and that handles neither arrays nor mathematics: types, threads, messages, files.

=============  ===========================================================================
typing         types that recur in signatures
n_jobs         the number of threads that `n_jobs` stands for
caller         warnings that point at the line of the caller
progress       progress reports and scikit-learn's callbacks
checkpoint     files from which an interrupted fit resumes
serialization  the state of estimators in files
maps           the mixin of transformers whose output has several axes
=============  ===========================================================================
"""
