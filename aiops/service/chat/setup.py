"""The chats of the settings, ready to be written to: their keys, and what answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from aiops import app
from aiops.errors import ConfigError
from aiops.ports import Replies
from aiops.schema import chatapps
from aiops.schema.chatapps import WeChat, WeCom
from aiops.service.chat.apps import Apps, DingTalkApp, FeishuApp, Sealed
from aiops.service.chat.people import People
from aiops.service.chat.platforms import Platform, Platforms
from aiops.service.chat.senders import Senders
from aiops.service.chat.signatures import WeCom as Crypt
from aiops.settings import Settings

KEY = 43  # characters of an EncodingAESKey


def platforms(config: Settings) -> Platforms:
    """All that the settings say of chats that people write from. Raises ConfigError."""
    people = config.text("chat.people_file")
    return Platforms(
        slack=_platform(config.secret("chat.slack_secret_file"), lambda: app.slack(config)),
        mattermost=_platform(
            config.secret("chat.mattermost_token_file"),
            lambda: app.mattermost(config),
            also=bool(config.text("chat.mattermost_bot_file")),
        ),
        apps=apps(config),
        people=People(Path(people).expanduser() if people else None),
        language=config.text("chat.language"),
    )


def _platform(secret: str, replies: Callable[[], Replies], *, also: bool = False) -> Platform | None:
    """None where it has no secret. `also`: it has buttons, which need none; without a secret no command is believed."""
    return Platform(secret.encode(), replies()) if secret or also else None


def apps(config: Settings) -> Apps:
    """Those that `chat.apps_file` gives the keys of a callback. Raises ConfigError."""
    named = config.text("chat.apps_file")
    if not named:
        return Apps()
    if find_spec("cryptography") is None:
        raise ConfigError("chat.apps_file needs the cryptography of the extra `chat`: pip install '.[chat]'")
    path = Path(named).expanduser()
    told = chatapps.load(path)
    found = Apps(
        wecom=tuple([_wecom(config, path, name, one) for name, one in told.wecom.items() if one.key_file]),
        wechat=tuple([_wechat(config, path, name, one) for name, one in told.wechat.items()]),
        feishu=tuple(
            [
                FeishuApp(
                    name,
                    one.app_id,
                    _key(path, one.token_file),
                    _key(path, one.key_file),
                    app.chat_app(config, "feishu", name),
                )
                for name, one in told.feishu.items()
                if one.key_file
            ]
        ),
        dingtalk=tuple(
            [
                DingTalkApp(name, one.app_key, _key(path, one.secret_file), app.chat_app(config, "dingtalk", name))
                for name, one in told.dingtalk.items()
                if one.app_key
            ]
        ),
    )
    _apart("WeCom", [one.crypt.token for one in found.wecom])
    _apart("WeChat", [one.crypt.token for one in found.wechat])
    _apart("Feishu", [one.key for one in found.feishu])
    _apart("DingTalk", [one.secret for one in found.dingtalk])
    return found


def _wecom(config: Settings, path: Path, name: str, told: WeCom) -> Sealed:
    corp = told.corp_id or ""
    crypt = _crypt(path, told, corp)
    answers = app.chat_app(config, "wecom", name)
    senders = Senders(f"wecom.{name}", answers.senders) if told.check_address else None
    return Sealed(name, crypt, corp, answers, str(told.agent_id), senders)


def _wechat(config: Settings, path: Path, name: str, told: WeChat) -> Sealed:
    crypt = _crypt(path, told, told.app_id)
    answers = app.chat_app(config, "wechat", name)
    senders = Senders(f"wechat.{name}", answers.senders) if told.check_address else None
    return Sealed(name, crypt, told.account, answers, senders=senders)


def _crypt(path: Path, told: WeCom | WeChat, receiver: str) -> Crypt:
    key = _key(path, told.key_file)
    if len(key) != KEY:
        raise ConfigError(
            f"chat.apps_file: {told.key_file} does not hold an EncodingAESKey, which has {KEY} characters"
        )
    return Crypt(_key(path, told.token_file), key, receiver.encode())


def _apart(platform: str, keys: Sequence[bytes]) -> None:
    """Whose message it is, the key tells alone. ConfigError for one that two have."""
    if len({hashlib.sha256(key).digest() for key in keys}) < len(keys):
        raise ConfigError(f"chat.apps_file: two apps of {platform} have the same token or key; each needs its own")


def _key(path: Path, file: str) -> bytes:
    return chatapps.secret(path, file).encode()
