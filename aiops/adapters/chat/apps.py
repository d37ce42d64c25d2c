"""The apps of `chat.apps_file`, opened: what answers who writes to them, and the groups that they post into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from aiops.adapters.chat.dingtalk import DingTalkApp, DingTalkRobot
from aiops.adapters.chat.feishu import FeishuApp, FeishuChat
from aiops.adapters.chat.wechat import WeChatAccount
from aiops.adapters.chat.wecom import WeComApp, WeComChat, WeComRobot
from aiops.adapters.http import Access
from aiops.errors import ConfigError
from aiops.ports import Chat, ChatApp
from aiops.schema import chatapps
from aiops.schema.chatapps import ChatApps

T = TypeVar("T")


class AppsFile:
    """The file at `path`; each app is opened when it is asked for. Raises ConfigError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: ChatApps = chatapps.load(path)

    def app(self, platform: str, name: str) -> ChatApp:
        """What answers those who write to the app. Raises ConfigError."""
        opened: Mapping[str, Callable[[str], ChatApp]] = {
            "wecom": self._wecom,
            "wechat": self._wechat,
            "feishu": self._feishu,
            "dingtalk": self._dingtalk,
        }
        return opened[platform](name)

    def chat(self, url: str) -> Chat:
        """wecom:APP/USERS, wecom:APP, feishu:APP/CHAT, dingtalk:APP. Raises ConfigError."""
        platform, _, rest = url.partition(":")
        name, _, channel = rest.partition("/")
        if platform == "wecom":
            return WeComChat(self._wecom(name), url, channel) if channel else self._robot(name, url)
        if platform == "feishu":
            if not channel:
                raise ConfigError(f"chat.url: {url} names no group: feishu:APP/CHAT")
            return FeishuChat(self._feishu(name), url, channel)
        return self._custom(name, url)

    def _wecom(self, name: str) -> WeComApp:
        told = self._named(self.told.wecom, "wecom", name)
        if told.corp_id is None or told.agent_id is None:
            raise ConfigError(f"chat.apps_file: [wecom.{name}] has no application, only a robot")
        held = self._secret(told.secret_file)
        return WeComApp(_access(told.url, "WeCom", held), told.corp_id, held, told.agent_id)

    def _robot(self, name: str, url: str) -> WeComRobot:
        told = self._named(self.told.wecom, "wecom", name)
        if not told.robot_file:
            raise ConfigError(
                f"chat.url: {url}: [wecom.{name}] has no robot_file; its application needs wecom:{name}/USERS"
            )
        held = self._secret(told.robot_file)
        return WeComRobot(_access(told.url, "WeCom", held), url, held)

    def _wechat(self, name: str) -> WeChatAccount:
        told = self._named(self.told.wechat, "wechat", name)
        held = self._secret(told.secret_file)
        return WeChatAccount(_access(told.url, "WeChat", held), told.app_id, held)

    def _feishu(self, name: str) -> FeishuApp:
        told = self._named(self.told.feishu, "feishu", name)
        held = self._secret(told.secret_file)
        return FeishuApp(_access(told.url, "Feishu", held), told.app_id, held)

    def _dingtalk(self, name: str) -> DingTalkApp:
        told = self._named(self.told.dingtalk, "dingtalk", name)
        if told.app_key is None:
            raise ConfigError(f"chat.apps_file: [dingtalk.{name}] has no app, only a robot")
        held = self._secret(told.secret_file)
        return DingTalkApp(_access(told.url, "DingTalk", held), told.app_key, held)

    def _custom(self, name: str, url: str) -> DingTalkRobot:
        told = self._named(self.told.dingtalk, "dingtalk", name)
        if not told.robot_token_file:
            raise ConfigError(f"chat.url: {url}: [dingtalk.{name}] has no robot_token_file")
        token, secret = self._secret(told.robot_token_file), self._secret(told.robot_secret_file)
        app = self._dingtalk(name) if told.app_key else None
        return DingTalkRobot(_access(told.url, "DingTalk", token), url, token, secret, app)

    def _named(self, apps: Mapping[str, T], platform: str, name: str) -> T:
        if name not in apps:
            known = ", ".join(sorted(apps)) or "none"
            raise ConfigError(f"{self.path} has no [{platform}.{name}]; known are: {known}")
        return apps[name]

    def _secret(self, file: str) -> str:
        return chatapps.secret(self.path, file)


def _access(url: str, platform: str, secret: str) -> Access:
    """The door, which shows the secret in no message; it is not sent by itself."""
    return Access.to(url, "", f"chat platform {platform}", password=secret)
