"""What a file of an estimator holds: arrays, numbers and names, and the number of their format."""

PAGES = "https://sklearn-ckn.readthedocs.io/en/stable/api/sklearn_ckn.{estimator_name}.html"
FORMAT = 1  # of the state of every estimator; to be raised, and the older ones read, when its meaning changes


class PersistentMixin:
    """Files and copies without any object of this package but the estimators, and links to the pages of these."""

    _RECORDS = ()  # types of named tuples among the private attributes
    _doc_link_module, _doc_link_template = __package__, PAGES  # for the representation in notebooks

    def __getstate__(self):
        state = {name: to_plain(value, self._RECORDS) for name, value in super().__getstate__().items()}
        return {**state, "_format": FORMAT}

    def __setstate__(self, state):
        found, name = state.get("_format"), type(self).__name__
        if found != FORMAT:
            which = "a later version" if isinstance(found, int) and found > FORMAT else "another version"
            raise ValueError(
                f"This {name} was written by {which} of sklearn_ckn, in format {found}; the installed one reads format "
                f"{FORMAT}. Install the version that wrote it, or fit the estimator again."
            )
        types = {record.__name__: record for record in self._RECORDS}
        super().__setstate__({key: from_plain(value, types) for key, value in state.items() if key != "_format"})


def to_plain(value, types):
    """A named tuple of one of these types as its name and its fields, and so its fields; anything else as it is."""
    if not isinstance(value, types):
        return value
    return {"record": type(value).__name__, **{name: to_plain(part, types) for name, part in value._asdict().items()}}


def from_plain(value, types):
    """The named tuple of one of these types that `to_plain` has taken apart."""
    if not (isinstance(value, dict) and value.get("record") in types):
        return value
    fields = {field: from_plain(part, types) for field, part in value.items() if field != "record"}
    return types[value["record"]](**fields)
