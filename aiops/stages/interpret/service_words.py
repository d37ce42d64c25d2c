"""How services are commonly called in Chinese: words of the trade, which stand for whatever the catalog has under the English ones.

A word names a service only where the catalog leaves no choice: one service is called just that ("cart", "cart-service"), or one
alone has it in its name ("ts-order-service"). Words of everyday talk (用户, 数据库) need 服务 or the like behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

# English words, the first that the catalog has counts -> (Chinese names, names that need a suffix to be one)
_WORDS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("frontend", "front-end"), ("前端",), ()),
    (("gateway",), ("网关",), ()),
    (("cart", "basket"), ("购物车",), ()),
    (("payment", "pay"), ("支付", "付款"), ()),
    (("billing",), ("计费",), ("账单",)),
    (("order",), ("订单",), ()),
    (("checkout",), ("结账",), ("结算",)),
    (("recommendation", "recommend"), ("推荐",), ()),
    (("inventory", "stock"), ("库存",), ()),
    (("user",), (), ("用户",)),
    (("account",), (), ("账户", "账号")),
    (("customer",), (), ("客户",)),
    (("member", "membership"), (), ("会员",)),
    (("auth",), ("鉴权", "认证"), ()),
    (("login",), (), ("登录", "登陆")),
    (("shipping", "delivery"), ("配送",), ("发货",)),
    (("logistics",), ("物流",), ()),
    (("catalogue", "catalog"), ("商品目录",), ("目录",)),
    (("product",), (), ("商品", "产品")),
    (("currency",), ("货币",), ()),
    (("email", "mail"), ("邮件",), ()),
    (("ad",), ("广告",), ()),
    (("notification",), (), ("通知",)),
    (("search",), (), ("搜索",)),
    (("review",), ("评论",), ("评价",)),
    (("rating",), (), ("评分",)),
    (("coupon",), ("优惠券",), ()),
    (("promotion",), ("促销",), ()),
    (("price", "pricing"), (), ("价格",)),
    (("route",), (), ("路线",)),
    (("station",), (), ("车站",)),
    (("train",), (), ("列车",)),
    (("seat",), (), ("座位",)),
    (("travel",), (), ("出行",)),
    (("session",), (), ("会话",)),
    (("config",), (), ("配置",)),
    (("database", "db"), (), ("数据库",)),
    (("cache",), (), ("缓存",)),
    (("queue",), (), ("队列", "消息队列")),
    (("ledger",), ("账本",), ()),
    (("risk",), ("风控",), ()),
    (("log", "logging"), (), ("日志",)),
    (("scheduler",), (), ("调度",)),
)
_SUFFIXES = ("服务", "系统", "中心", "模块", "应用", "微服务", "集群")
_GENERIC = frozenset({"service", "svc", "server", "api", "app", "application", "prod", "main", "default"})
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ENDING = re.compile(r"(?i)[-_]?(?:service|svc|server)$")


def chinese_names(services: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Chinese name -> the services that it may stand for: one where the catalog leaves no choice, else those there are."""
    names = sorted(services)
    words = {name: frozenset(_words_of(name)) for name in names}
    common = _common(words.values()) | _GENERIC
    said: dict[str, tuple[str, ...]] = {}
    for english, free, bound in _WORDS:
        meant = _meant(english, words, common)
        for form in [*free, *(f"{word}{suffix}" for word in (*free, *bound) for suffix in _SUFFIXES)]:
            if meant and form not in said:
                said[form] = meant
    return said


def english_of(word: str) -> tuple[str, ...]:
    """What a Chinese word for a service is in English; the word itself where it is none of them."""
    bare = next((word.removesuffix(suffix) for suffix in _SUFFIXES if word.endswith(suffix)), word)
    return next((english for english, free, bound in _WORDS if bare in free or bare in bound), (word,))


def spoken_of(text: str) -> str:
    """The first word in a text that commonly names a service, in either language; "" where there is none."""
    found = _CHINESE.search(text) or _ENGLISH.search(text)
    return found.group() if found else ""


def _meant(english: Sequence[str], words: Mapping[str, frozenset[str]], common: frozenset[str]) -> tuple[str, ...]:
    """Of the first English word that a name has: the one that is called just that ("carts" before "carts-db"), else all."""
    for word in english:
        having = tuple(name for name, own in words.items() if word in own or word == _singular(_ENDING.sub("", name)))
        for beside in (frozenset[str](), common):
            called = tuple(name for name in having if words[name] - beside <= {word} or word not in words[name])
            if len(called) == 1:
                return called
        if having:
            return having
    return ()


def _words_of(name: str) -> Iterable[str]:
    """The words of a name in the singular, without its ending: "ts-orders-service" has ts and order, "cartservice" cart."""
    return (_singular(word) for word in _PART.findall(_ENDING.sub("", name)))


def _singular(word: str) -> str:
    word = word.lower()
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def _common(all_parts: Iterable[frozenset[str]]) -> frozenset[str]:
    """Words that most names share, such as the name of the product."""
    counts: dict[str, int] = {}
    listed = list(all_parts)
    for own in listed:
        for word in own:
            counts[word] = counts.get(word, 0) + 1
    return frozenset(word for word, n in counts.items() if n >= 3 and n * 3 >= len(listed))


_CHINESE = re.compile(
    "|".join(sorted((w for _, free, bound in _WORDS for w in (*free, *bound)), key=lambda w: (-len(w), w)))
    + r"|[\u4e00-\u9fff]{2,4}(?=服务|系统)"
)
# Of the English ones those that name little else in a question about operations.
_ENGLISH = re.compile(
    r"(?a)\b(?:frontend|front-end|gateway|cart|basket|payment|billing|checkout|recommendation|inventory|shipping|logistics"
    r"|catalogue|currency|ledger|notification|scheduler|orders?)s?\b"
)
