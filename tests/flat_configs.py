"""The shipped primary configs, each composed once and written as one file: hydra parses some thirty at every compose.

Overrides, groups and interpolations work on such a file as on the shipped one.
"""

from pathlib import Path

PRIMARY = ("dual_grpo_trainer", "personadual_sft")
MODULE = "flat_configs_of_the_tests"


def write_flat_configs(folder: Path) -> str:
    """Writes a package into ``folder``, which must come to stand on sys.path; its name, for ``--config-module``."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    package = folder / MODULE
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in PRIMARY:
        with initialize_config_module("personadual.config", version_base=None):
            config = compose(name)
        search = "hydra:\n  searchpath: [pkg://personadual.config, pkg://verl.trainer.config]\n"
        (package / f"{name}.yaml").write_text(search + OmegaConf.to_yaml(config))
    return MODULE
