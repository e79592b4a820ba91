"""What can be wrong with a dataset, said in a sentence that tells what to fetch and where to put it."""


class DataError(Exception):
    """A dataset is missing or incomplete; the message says what to fetch and where to put it."""
