"""The state of estimators in files: arrays, numbers and names, and the version of the file format."""

PAGES = "https://sklearn-ckn.readthedocs.io/en/stable/api/sklearn_ckn.{estimator_name}.html"
FORMAT = 2  # format version of the state of every estimator; increase it when the meaning of the state changes


class PersistentMixin:
    """A mixin for estimators that keeps other objects of this package out of files, and links to the documentation.

    In files and copies, named tuples among the private attributes are stored as dicts.
    """

    _RECORDS = ()  # types of named tuples among the private attributes
    _doc_link_module, _doc_link_template = "sklearn_ckn", PAGES  # for the representation in notebooks

    def __getstate__(self):
        state = {name: to_plain(value, self._RECORDS) for name, value in super().__getstate__().items()}
        return {**state, "_format": FORMAT}

    def __setstate__(self, state):
        found, name = state.get("_format"), type(self).__name__
        if found != FORMAT:
            which = "a later version" if isinstance(found, int) and found > FORMAT else "another version"
            raise ValueError(
                f"This {name} was written by {which} of sklearn_ckn, in format {found}; the installed version reads "
                f"format {FORMAT}. Install the version that wrote it, or fit the estimator again."
            )
        types = {record.__name__: record for record in self._RECORDS}
        super().__setstate__({key: from_plain(value, types) for key, value in state.items() if key != "_format"})


def to_plain(value, types):
    """Convert a named tuple of one of ``types`` to a dict, recursively; return anything else unchanged."""
    if not isinstance(value, types):
        return value
    return {"record": type(value).__name__, **{name: to_plain(part, types) for name, part in value._asdict().items()}}


def from_plain(value, types):
    """Return the named tuple that `to_plain` converted to a dict; return anything else unchanged."""
    if not (isinstance(value, dict) and value.get("record") in types):
        return value
    fields = {field: from_plain(part, types) for field, part in value.items() if field != "record"}
    return types[value["record"]](**fields)
