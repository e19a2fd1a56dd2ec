"""``personadual export``: a verl checkpoint as a checked Hugging Face model folder with a model card.

A checkpoint's weights are torch pickles, which can run code when they are read. verl's merger reads them with
``weights_only=False`` (verl/model_merger/fsdp_model_merger.py, 0.9.1); here torch is told to read weights only
(``TORCH_FORCE_WEIGHTS_ONLY_LOAD``), so that a file with anything else in it is refused. Export only checkpoints that
you trust all the same.
"""


class ExportError(ValueError):
    """Something that the export needs is missing, broken or refused; the message says how to mend it."""
