"""`rules/targets.yaml`: what executors may reach at all. Nothing is reached that stands not here."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiops.errors import DataError
from aiops.schema import fill
from aiops.schema import task as task_schema

Pattern = Annotated[str, Field(min_length=1, max_length=fill.LONGEST_PATTERN)]


class TargetModel(BaseModel):
    """One service."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(
        pattern=r"^(https?://([a-zA-Z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:[0-9]{1,5})?|unix:/[A-Za-z0-9._/-]{1,100})$",
        description="https://HOST[:PORT], http://HOST[:PORT] or unix:/PATH",
    )
    methods: tuple[str, ...] = Field(min_length=1, max_length=7, description="GET, POST, PUT, PATCH, DELETE")
    paths: tuple[Pattern, ...] = Field(min_length=1, max_length=50, description="patterns (RE2), one of which must fit")
    networks: tuple[str, ...] = Field(
        (), max_length=50, description="networks that its name may lead to, as 10.0.0.0/8"
    )
    token_file: str = Field("", description="file with a bearer token")
    ca_file: str = Field("", description="certificates of the authorities to trust instead of the usual ones")

    @model_validator(mode="after")
    def _sound(self) -> TargetModel:
        if wrong := sorted(set(self.methods) - {"GET", "POST", "PUT", "PATCH", "DELETE"}):
            raise ValueError(f"methods: {', '.join(wrong)} is none of GET, POST, PUT, PATCH, DELETE")
        for pattern in self.paths:
            fill.fits(pattern, "/")
        for network in self.networks:
            ipaddress.ip_network(network)
        if self.token_file and not self.url.startswith(("https:", "unix:")):
            raise ValueError("a token needs https")
        return self


class TargetsModel(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    targets: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], TargetModel] = Field({}, max_length=200)
    units: tuple[Pattern, ...] = Field((), max_length=100, description="patterns of systemd units that may be touched")


def load(text: str, source: str) -> TargetsModel:
    """YAML -> what may be reached. DataError names the field, the value and what is allowed."""
    try:
        return TargetsModel.model_validate(task_schema.mapping(text, source))
    except ValidationError as error:
        problems = (task_schema.problem(source, one, TargetsModel) for one in error.errors()[:5])
        raise DataError("; ".join(problems)) from error
