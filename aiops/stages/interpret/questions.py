"""What is asked back or refused, in the language of the question: English, or Chinese where there is a Chinese character in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_HAN = re.compile("[\u3400-\u9fff]")

_SAID: Mapping[str, tuple[str, str]] = {
    "time": ("I heard {what}. Which time do you mean?", "听到的是{what}。请问指哪段时间？"),
    "unknown": ('"{what}" is not in the catalog. Did you mean one of these?', "目录里没有“{what}”。您是指下面哪一个？"),
    "stranger": (
        '"{what}" is not in the catalog, and nothing there looks like it. Which service do you mean?',
        "目录里没有“{what}”，也没有相近的名字。请问是哪个服务？",
    ),
    "metric": (
        'No metric here measures "{what}". Which one do you mean?',
        "这里没有指标表示“{what}”。请问是哪个指标？",
    ),
    "unmet": ('no metric here measures "{what}"', "这里没有指标表示“{what}”"),
    "either": ("Several services are called {what}. Which one?", "有多个服务叫“{what}”。是哪一个？"),
    "service": ("Which service is this about?", "请问是哪个服务？"),
    "about": ("What do you want to know about {what}?", "想了解 {what} 的什么？"),
    "offer": (
        "Shall I find the cause first, or plan the change for your approval?",
        "先查原因，还是先拟好变更方案等您批准？",
    ),
    "offer_on": (
        "Shall I find the cause first, or plan the change on {what} for your approval?",
        "先查原因，还是先拟好对 {what} 的变更方案等您批准？",
    ),
    "change": ("Which change do you want to plan?", "想做哪种变更？"),
    "long": (
        "This is longer than {what} characters. What do you want to know, in a sentence?",
        "超过了 {what} 个字符。请用一句话说明想了解什么。",
    ),
    # choices
    "find the cause first": ("find the cause first", "先查原因"),
    "plan it for approval": ("plan it for approval", "拟方案待批准"),
    "find the cause": ("find the cause", "查原因"),
    "show a metric": ("show a metric", "看指标"),
    "check for anomalies": ("check for anomalies", "查异常"),
    "forecast": ("forecast", "预测"),
    "all services": ("all services", "所有服务"),
    # what is wrong with a time
    "a forecast, and a time in the past": ("a forecast, and a time in the past", "要预测，时间却在过去"),
    "a time to come, and a question about the past": (
        "a time to come, and a question about the past",
        "时间在将来，问的却是过去",
    ),
    # refusals
    "rules": (
        "This tries to change the rules I work by. Every change needs an approval, and the rules stay.",
        "这是要改变我遵守的规则。任何变更都需要批准，规则不变。",
    ),
    "destroys": (
        "This would destroy or switch off something. I can propose a restart, a scale or a rollback for approval.",
        "这会删除或关停某些东西。我可以提出重启、扩缩容或回滚的方案，等待批准。",
    ),
    "secrets": (
        "This asks for secrets or personal data, which I neither have nor show.",
        "这涉及密钥或个人数据，我既没有也不会展示。",
    ),
    "outside": (
        "This is outside operations: I diagnose, query, forecast, check, report and propose repairs.",
        "这不属于运维范围：我能做的是诊断、查询、预测、检查、报告和提出修复方案。",
    ),
}
_IN_CHINESE = dict(_SAID.values())
_BACKWARDS = re.compile(r"the window ends at (\S+), before it starts at (\S+)")


def ask(key: str, text: str, what: str = "") -> str:
    """The question `key`, in the language of `text`."""
    english, chinese = _SAID[key]
    return (chinese if in_chinese(text) else english).format(what=translated(what, text))


def choices(keys: Sequence[str], text: str) -> tuple[str, ...]:
    """Choices in the language of `text`; names stay as they are."""
    return tuple(translated(key, text) for key in keys)


def translated(words: str, text: str) -> str:
    """Words of ours in the language of `text`; anything else as it is."""
    if not in_chinese(text):
        return words
    return _IN_CHINESE.get(words) or _BACKWARDS.sub(r"结束时间 \1 早于开始时间 \2", words)


def in_chinese(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return bool(_HAN.search(text))
