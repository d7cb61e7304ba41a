"""Settings of the app and the command line, read from the environment in this one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """Where what ships lies: a folder in `checkpoints` of the repository, or of what ATTRIBUTION_CHECKPOINTS names.

    An installed package does not hold it. name: "encoders" or "pocket".
    """
    return Path(os.environ.get("ATTRIBUTION_CHECKPOINTS") or REPOSITORY / "checkpoints") / name


def milvus_token() -> str:
    """What a Milvus server asks for, "user:password" or a key; it stands in the environment alone, "" without one."""
    return os.environ.get("ATTRIBUTION_MILVUS_TOKEN", "")


class Settings(BaseSettings):
    """Each setting is an environment variable `ATTRIBUTION_<NAME>`, such as ATTRIBUTION_PORT=8080."""

    model_config = SettingsConfigDict(env_prefix="ATTRIBUTION_", frozen=True)

    checkpoints: Path = Field(
        REPOSITORY / "checkpoints", description="What ships: encoders, the pocket collection."
    )
    collection: Path = Field(
        default_factory=lambda: shipped("pocket"), description="Collection that the app opens."
    )
    compare_with: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="More collections, for the tab Compare; separated as in PATH."
    )
    generator: str = Field(
        "", description="In place of the collection's own generator: a name, folder or hub name."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    host: str = Field("127.0.0.1", description="Address that the app listens on; 0.0.0.0 for all.")
    port: int = Field(7860, ge=0, le=65535, description="Port that the app listens on; 0 for any free one.")
    top: int = Field(100, ge=1, le=1000, description="Training images listed for a query.")
    max_upload_mb: int = Field(20, ge=1, description="Largest upload in MB.")
    mcp: bool = Field(False, description="Also serve `attribute_image` and `generate_image` as MCP tools.")
    milvus_token: SecretStr = Field(
        SecretStr(""), description="Of a Milvus server that asks for one; is never stored."
    )
    queue_size: int = Field(
        60, ge=1, description="Jobs of a kind that wait at most; more are told to come back."
    )
    visitor_jobs: int = Field(2, ge=0, description="Jobs of one visitor that wait beside the one that runs.")
    job_seconds: float = Field(120, gt=0, description="Seconds after which a job is ended.")
    learning_seconds: float = Field(
        300, gt=0, description="The same for learning from an artist's images and for second opinions."
    )
    visits: int = Field(
        200,
        ge=1,
        description="Visits remembered at most; of more, the oldest whose page is closed goes first.",
    )
    max_megapixels: float = Field(50, gt=0, description="Largest image that is decoded, in megapixels.")
    decode_seconds: float = Field(20, gt=0, description="Seconds after which decoding an image is ended.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names, with commas between, under which the app is reached beside this machine's and its Space's.",
    )

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (
            [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        )

    @field_validator("compare_with", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value
