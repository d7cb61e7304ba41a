"""Settings of the app and the command line, all read from the environment here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_SITE = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?")
REPOSITORY = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """Return the path of bundled files in the repository's `checkpoints`, or in ATTRIBUTION_CHECKPOINTS.

    Installed packages do not contain them. name: "encoders" or "pocket".
    """
    return Path(os.environ.get("ATTRIBUTION_CHECKPOINTS") or REPOSITORY / "checkpoints") / name


def milvus_token() -> str:
    """Return the token for Milvus servers, "user:password" or a key; "" if the environment has none."""
    return os.environ.get("ATTRIBUTION_MILVUS_TOKEN", "")


class Settings(BaseSettings):
    """Settings; each is an environment variable `ATTRIBUTION_<NAME>`, such as ATTRIBUTION_PORT=8080."""

    model_config = SettingsConfigDict(env_prefix="ATTRIBUTION_", frozen=True)

    checkpoints: Path = Field(
        REPOSITORY / "checkpoints", description="Folder of the bundled encoders and pocket collection."
    )
    collection: Path = Field(
        default_factory=lambda: shipped("pocket"), description="Collection that the app opens."
    )
    compare_with: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="More collections for the tab Compare, separated as in PATH."
    )
    generator: str = Field(
        "", description="Generator to use instead of the collection's own: a name, folder or hub name."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    host: str = Field("127.0.0.1", description="Address that the app listens on; 0.0.0.0 for all.")
    port: int = Field(7860, ge=0, le=65535, description="Port that the app listens on; 0 for any free one.")
    top: int = Field(100, ge=1, le=1000, description="Number of training images to list for a query.")
    max_upload_mb: int = Field(20, ge=1, description="Largest upload in MB.")
    batch_images: int = Field(
        100, ge=1, description="Images that a visitor may have attributed at once, in files or a ZIP file."
    )
    batch_mb: int = Field(200, ge=1, description="Size of these images together in MB, unpacked.")
    mcp: bool = Field(False, description="Also serve `attribute_image` and `generate_image` as MCP tools.")
    milvus_token: SecretStr = Field(
        SecretStr(""), description="Token for Milvus servers that require one; never stored."
    )
    prompt_writer: str = Field(
        "", max_length=200, description="Name written as the prompt's writer into pictures made here."
    )
    c2pa_certificate: Path | None = Field(
        None, description="PEM file of the certificate that signs pictures made here; needs the key, too."
    )
    c2pa_key: Path | None = Field(
        None, repr=False, description="PEM file of the certificate's key; never stored or logged."
    )
    c2pa_trust: Path | None = Field(
        None, description="PEM file of certificates whose signatures on pictures are trusted."
    )
    queue_size: int = Field(
        60, ge=1, description="Waiting jobs per kind; further ones are rejected with a request to try later."
    )
    visitor_jobs: int = Field(2, ge=0, description="Waiting jobs per visitor, besides the running one.")
    job_seconds: float = Field(120, gt=0, description="Time limit of a job in seconds.")
    learning_seconds: float = Field(
        300, gt=0, description="Time limit for learning from an artist's images and for second opinions."
    )
    visits: int = Field(
        200,
        ge=1,
        description="Visits to remember; beyond that, the oldest with a closed page are dropped first.",
    )
    max_megapixels: float = Field(50, gt=0, description="Largest image to decode, in megapixels.")
    decode_seconds: float = Field(20, gt=0, description="Time limit for decoding an image in seconds.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Host names of the app, besides this machine's and its Space's, separated by commas.",
    )

    embed_in: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Sites whose pages may show the app in a frame, besides its own and Hugging Face's, separated by "
        "commas: https://talk.example.",
    )

    @field_validator("embed_in")
    @classmethod
    def _check_sites(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for site in value:
            if not _SITE.fullmatch(site):
                raise ValueError(
                    f"'{site}' is no site; give its scheme and host, such as https://talk.example"
                )
        return value

    @field_validator("allowed_hosts", "embed_in", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return (
            [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        )

    @field_validator("compare_with", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value
