"""Uploads a finished folder to the Hugging Face Hub: the only part of the export that uses the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personadual.export import ExportError


def check_repo_id(repo_id: str) -> None:
    """Raises ExportError unless ``repo_id`` is OWNER/NAME as the Hub has it, and the Hub may be reached."""
    from huggingface_hub import constants
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ExportError(f"--push: {error}") from None
    if repo_id.count("/") != 1:
        raise ExportError(f"--push {repo_id}: OWNER/NAME is needed")
    if constants.HF_HUB_OFFLINE:
        raise ExportError("--push: HF_HUB_OFFLINE is set; unset it, or leave --push away")


def push(folder: Path, repo_id: str, public: bool, api: Any = None) -> str:
    """Upload ``folder`` and return the address of the commit.

    Args:
        public: make a new repository public, or allow one that is; otherwise a public one is refused.
        api: huggingface_hub's HfApi, logged in as the Hub's own tools are.

    Raises:
        ExportError: the repository is public and ``public`` is False, or the Hub refused.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi(library_name="personadual")
    try:
        api.create_repo(repo_id=repo_id, private=not public, exist_ok=True)
        if not public and not api.repo_info(repo_id=repo_id).private:
            raise ExportError(f"{repo_id} is public; nothing was uploaded. --public allows it")
        commit = api.upload_folder(folder_path=str(folder), repo_id=repo_id, commit_message="personadual export")
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"upload to {repo_id} failed, {type(error).__name__}: {error}. The folder {folder} is whole; "
            f"`hf upload {repo_id} {folder}` tries again"
        ) from error
    return str(getattr(commit, "commit_url", commit))
