"""`chat.apps_file`: the apps that this house has at WeCom, WeChat, Feishu and DingTalk, each of its own tenant with its own keys.

TOML, a table for each: `[wecom.NAME]`, `[wechat.NAME]`, `[feishu.NAME]`, `[dingtalk.NAME]`. Secrets stand in files of their own;
a path that does not begin with / or ~ begins at the folder of this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiops.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
File = Annotated[str, Field(max_length=1000)]
Address = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,253}(/[A-Za-z0-9._/-]*)?$")]


class _App(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeCom(_App):
    """An application of a corporation, the robot of a group, or both."""

    corp_id: Id | None = Field(None, description="id of the corporation")
    agent_id: int | None = Field(None, ge=0, description="AgentId of the application")
    secret_file: File = Field("", description="file with the application's secret: answers and posts need it")
    token_file: File = Field("", description="file with the token of its callback")
    key_file: File = Field("", description="file with the EncodingAESKey of its callback")
    robot_file: File = Field("", description="file with the key that the address of a group's robot ends in")
    check_address: bool = Field(False, description="whether callbacks must come from the addresses that WeCom lists")
    url: Address = Field("https://qyapi.weixin.qq.com", description="where its API is")

    @model_validator(mode="after")
    def _whole(self) -> WeCom:
        if self.corp_id:
            _needs(self, "agent_id", "secret_file")
            _together(self, "token_file", "key_file")
        else:
            _needs(self, "robot_file")
        return self


class WeChat(_App):
    """An official account, in the secure mode of its callback."""

    app_id: Id = Field(description="AppID of the account")
    account: Id = Field(description="its original id, gh_...")
    secret_file: File = Field(min_length=1, description="file with its AppSecret")
    token_file: File = Field(min_length=1, description="file with the token of its callback")
    key_file: File = Field(min_length=1, description="file with the EncodingAESKey of its callback")
    check_address: bool = Field(False, description="whether callbacks must come from the addresses that WeChat lists")
    url: Address = Field("https://api.weixin.qq.com", description="where its API is")


class Feishu(_App):
    """A custom app of a tenant, with its bot."""

    app_id: Id = Field(description="App ID, cli_...")
    secret_file: File = Field(min_length=1, description="file with its App Secret")
    token_file: File = Field("", description="file with the verification token of its events")
    key_file: File = Field("", description="file with the encrypt key of its events")
    url: Address = Field("https://open.feishu.cn", description="https://open.larksuite.com for Lark")

    @model_validator(mode="after")
    def _whole(self) -> Feishu:
        _together(self, "token_file", "key_file")
        return self


class DingTalk(_App):
    """An app of an organisation with its robot, the custom robot of a group, or both."""

    app_key: Id | None = Field(None, description="Client ID (AppKey), which is the robot's code, too")
    secret_file: File = Field("", description="file with the Client Secret (AppSecret)")
    robot_token_file: File = Field("", description="file with the access token of a group's custom robot")
    robot_secret_file: File = Field("", description="file with the secret by which that robot's messages are signed")
    url: Address = Field("https://oapi.dingtalk.com", description="where its API is")

    @model_validator(mode="after")
    def _whole(self) -> DingTalk:
        if self.app_key:
            _needs(self, "secret_file")
        else:
            _needs(self, "robot_token_file")
        return self


class ChatApps(_App):
    """The whole file."""

    wecom: Mapping[Name, WeCom] = Field({}, max_length=100)
    wechat: Mapping[Name, WeChat] = Field({}, max_length=100)
    feishu: Mapping[Name, Feishu] = Field({}, max_length=100)
    dingtalk: Mapping[Name, DingTalk] = Field({}, max_length=100)


def load(path: Path) -> ChatApps:
    """ConfigError names the field that is wrong, and never what stands in it."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return ChatApps.model_validate(told)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise ConfigError(f"chat.apps_file: {path}: {wrong}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"chat.apps_file: {path}: {error}") from error


def secret(path: Path, file: str) -> str:
    """What a file that the table in `path` names holds; "" for none. ConfigError when it can't be read, or holds nothing."""
    if not file:
        return ""
    place = path.parent / Path(file).expanduser()
    try:
        held = place.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"chat.apps_file: can't read {place}: {error}") from error
    if not held:
        raise ConfigError(f"chat.apps_file: {place} is empty")
    return held


def _needs(app: _App, *fields: str) -> None:
    missing = [field for field in fields if getattr(app, field) in (None, "")]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be set")


def _together(app: _App, *fields: str) -> None:
    given = [field for field in fields if getattr(app, field)]
    if given and len(given) != len(fields):
        raise ValueError(f"{' and '.join(fields)} go together")
