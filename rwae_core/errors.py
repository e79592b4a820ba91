"""What can be wrong with an input of the core, each said in a sentence that tells what to change."""


class RwaeError(Exception):
    """Base of every error that the core raises on purpose."""


class ShapeError(RwaeError, ValueError):
    """A tensor does not have the shape that the model's configuration asks for."""


class WeightsError(RwaeError):
    """A weights folder is missing, damaged, or belongs to another configuration."""


class UnsupportedError(RwaeError):
    """A model does not have this verb; the message says which it has."""
