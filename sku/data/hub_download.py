"""Download one file of a data set from the Hugging Face hub, at a pinned commit. Knows no schema."""

from __future__ import annotations

from pathlib import Path

from sku.core.errors import Unavailable


def download_dataset_file(source: str, repo: str, filename: str, revision: str) -> Path:
    """The local copy of `filename`, which is fetched unless this machine has it.

    Args:
        source: the name of the data source, for the error.
        repo: the data set's id on the hub.
        filename: the path of the file in that repository.
        revision: a full commit hash, so that everyone reads the same rows.

    Raises:
        Unavailable: if it cannot be fetched, in one sentence that says what to use instead.
    """
    import huggingface_hub as hub  # slow to import, and not needed for local files
    from huggingface_hub import errors

    def download(local_only: bool) -> Path:
        return Path(
            hub.hf_hub_download(
                repo_id=repo, filename=filename, repo_type="dataset", revision=revision, local_files_only=local_only
            )
        )

    try:
        try:
            return download(local_only=True)
        except errors.LocalEntryNotFoundError:
            # Ask once, without retries: offline, the download itself tries for 23 s and prints each failure.
            hub.get_hf_file_metadata(hub.hf_hub_url(repo, filename, repo_type="dataset", revision=revision))
            return download(local_only=False)
    except Exception as error:  # the hub's, httpx's, xet's and the disk's errors have no family in common
        raise Unavailable(
            f"{source} needs {filename} of the data set {repo} at commit {revision[:8]}, which is not on this machine, "
            f"and {_reason(error, repo)}, or use a local file ({source}:PATH) or the source bundled instead"
        ) from error


def _reason(error: Exception, repo: str) -> str:
    """Why it could not be fetched, and what the reader can do about it."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        page = f"https://huggingface.co/datasets/{repo}"
        return f"the hub asks for consent: accept the terms at {page} and log in with `hf auth login`"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids fetching it: unset that"
    gone = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError)
    if isinstance(error, gone) and not isinstance(error, errors.LocalEntryNotFoundError):
        return "the hub no longer has it: update sku"
    first = next(iter(str(error).splitlines()), "no reason given")
    return f"fetching it failed ({type(error).__name__}: {first}): go online and try again"
