"""Secrets, taken out of text before it is written where it stays: reports, the audit log, the log of the program.

One module for the whole house, so that a shape is known everywhere or nowhere. It knows shapes, not meanings: what follows
`password=`, "the token is" or 密码是, what stands in an Authorization header or before the @ of a URL, private key blocks, and
keys that their issuers made recognisable. A secret without any such sign (a bare word in a sentence) can't be found.

Where it is not clear where a secret ends, more is taken out rather than less.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeAlias

HIDDEN = "***"
SHORTEST = 5  # characters; what is shorter is part of too many words to be taken out of them
# Stands for `***` while patterns follow one another, so that none takes what another has left; in no text once that is over.
_MARK = "\ue000"

# Names of what is secret, as they stand in settings, JSON, headers, flags and sentences; also inside DB_PASSWORD or X-Auth-Token.
_KIND = (
    r"(?:pass(?:word|wd|phrase|code)|(?<![a-z])(?:pass|pwd|pw|psk|otp|pin|sig|jwt|sid)(?![a-z])|secret|token(?!s[\"']?\s{0,4}[:=]\s{0,4}\d{1,7}(?!\w))|credentials?|"
    r"(?<![a-z])creds?(?![a-z])|(?:api|access|private|account|signing|encryption|master|shared|service|license|auth|ssh|storage)"
    r"[-_. ]?key(?![a-z])|(?<![a-z])apikey|authorization|auth[-_]?header|signature|session[-_]?(?:id|key)|cookie|connection[-_ ]?string)"
)
_KIND_ZH = r"(?:密码|口令|密钥|秘钥|私钥|令牌|凭证|凭据|授权码|验证码|通行证|密匙|暗号)"
_NO_FILE = r"(?![\w.\-]{0,24}file\b)"  # password_file = /run/secrets/x says where, not what
# A value: in quotes (escaped ones too, as in JSON inside JSON; an unclosed one ends with the line), or up to a blank.
_QUOTED = r"""(?P<q>\\*["'`])(?:(?!(?P=q))(?:\\.|[^\r\n\\]|\\$))*(?:(?P=q))?|[“‘「『《][^”’」』》\r\n]*[”’」』》]?"""
_VALUE = rf"(?!{_MARK})(?:{_QUOTED}|[^\s\"'`]\S*)"
_TIED = r"\s{0,8}(?:=>|:=|==?|[:\uff1a\uff1d])\s{0,8}(?:[|>][+-]?\s{1,16})?"

# Issuers give these a form of their own, so that they can be found.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{12,}|LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,}|"
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[\w.-]{16,}|gl(?:sa|c)_[\w=]{16,}|"
    r"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-[\w-]{8,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}|"
    r"[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[\w+/=]{16,}|sk-(?:proj|ant|svcacct|or)-[\w-]{16,}|sk-[A-Za-z0-9]{32,}|"
    r"npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|do[oprt]_v1_[a-f0-9]{32,}|dckr_pat_[\w-]{16,}|dapi[a-f0-9]{32,}|"
    r"SG\.[\w-]{16,}\.[\w-]{16,}|SK[0-9a-f]{32}|hv[sbr]\.[\w-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{16,}|\d{8,10}:AA[\w-]{30,}|"
    r"eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)*"
    r")"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----(?:(?!-----END ).)*(?:-----END [A-Z0-9 ]{0,60}-----)?",
    re.DOTALL,
)
# `scheme://user:secret@host`. A secret may hold `/`; what follows a port and a path is none.
_IN_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)"
    r"(?:(?P<user>[^\s/?#:@\"'<>]{0,200}):(?!\d{1,5}(?:[/?#\s]|$))[^\s\"'<>]{0,2000}@|[^\s/?#@:\"'<>]{1,500}@)"
)
_WEBHOOK = re.compile(
    r"(?i)(hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|/api/webhooks/\d+/|/bot/v2/hook/|/incoming/webhook/|"
    r"webhook\.office\.com/webhookb2/|[?&]key=)[^\s\"'<>&]+"
)
_PARAMETER = re.compile(rf"(?i)([?&;][\w.%-]{{0,40}}{_KIND}[\w.%-]{{0,20}}=)[^&#\s\"'<>]+")
_HEADER = re.compile(
    r"(?i)((?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}|(?:set-)?cookie[\"']?\s{0,4}:\s{0,4})"
    r"(?:\\*[\"'][^\"'\r\n]*|[^\"'\r\n]+)"
)
_SCHEME = re.compile(
    r"(?i)\b((?:bearer|basic|negotiate|digest|apikey|token)\s{1,4})(?=\S{0,400}?(?:\d|[=+/_.~-]\S|(?-i:[a-z][A-Z])))[\w.~+/=:-]{6,}"
)
_CONNECTION = re.compile(
    rf"(?i)(;\s{{0,4}}[\w ]{{0,40}}{_KIND}[\w ]{{0,20}}\s{{0,4}}=\s{{0,4}})(?:{_QUOTED}|[^;\"'\r\n]+)"
)
_PAIR = re.compile(
    rf"(?i)({_KIND}{_NO_FILE}[\w.\-]{{0,24}}(?:\[[^\]\s]{{0,40}}\])?\\{{0,4}}[\"'`]?{_TIED}(?:bearer\s{{1,4}}|basic\s{{1,4}})?)(?:{_VALUE})"
)
_IS_ZH = r"\s{0,4}(?:应该|现在|已经|就|都|将|要)?\s?(?:是|为|叫|设为|设成|设置为|设置成|改为|改成|换成|更新为|用)\s{0,4}[:\uff1a]?\s{0,4}"
_PAIR_ZH = re.compile(
    rf"(?i)((?:{_KIND_ZH}|{_KIND}\w{{0,20}}){_IS_ZH}|{_KIND_ZH}\s{{0,4}}[:=\uff1a\uff1d]\s{{0,4}})"
    rf"(?:{_QUOTED}|[!-~]+|[^\s\uff0c\u3002\uff1b\u3001\uff01\uff1f,;]+)"
)
_NEAR_ZH = re.compile(rf"(?i)({_KIND_ZH}\s{{0,2}})((?=[!-~]{{0,100}}[0-9!#$%&*@^_+~])[!-~]{{4,}})")
# "password Zx9kQ7vL", which looks like no word.
_NEAR = re.compile(
    rf"((?i:{_KIND})\s{{1,4}})(?=\S{{0,100}}\d)(?=\S{{0,100}}[a-z])(?=\S{{0,100}}[A-Z!#$%^&*@+~])[!-~]{{8,}}"
)
# "password is hunter2", "token to X". The words that sentences about passwords go on with are no passwords.
_GOES_ON = (
    r"(?!(?:not|no|wrong|in|in?correct|invalid|valid|expired|expiring|missing|required|empty|null|none|set|unset|being|too|very|slow|down|up|"
    r"failing|failed|broken|now|still|always|never|also|already|only|about|the|an?|by|on|at|ok(?:ay)?|fine|good|bad|unknown|rejected|refused|accepted|"
    r"denied|leaked|stored|used|needed|reset|changed|rotated|it|this|that|what|why|how|be|log|login|get|see|use|service|services|server|api|db)\b)"
)
_SAID = re.compile(
    rf"(?i)({_KIND}\s{{1,4}}(?:is|was|are|=|to|as|of|equals|will be|should be)(?:\s{{0,2}}:\s{{0,4}}|\s{{1,4}})){_GOES_ON}(?:{_VALUE})"
)
_SAID_AFAR = re.compile(
    rf"(?i)({_KIND}(?:\s{{1,4}}[\w@.'-]{{1,40}}){{1,5}}?\s{{1,4}}(?:is|was|to|as)\s{{1,4}}:?)"
    r"(?=\S{0,200}?(?:\d|[!#$%^&*@_+~]\S))(\S+)"
)
_GIVEN = re.compile(
    rf"(?i)(\b(?:with|using|use|my|by|via|enter|type|try)\s(?:the\s|my\s|this\s|root\s|admin\s)?[\w-]{{0,20}}{_KIND}[\w-]{{0,20}}\s{{1,4}})"
    r"(?=\S{0,200}?(?:\d|[!#$%^&*@_+~]\S))(?:" + _VALUE + ")"
)
_FLAG = re.compile(
    rf"(?i)((?<![\w-])--?[\w.-]{{0,40}}{_KIND}{_NO_FILE}[\w.-]{{0,20}}(?:\s{{1,4}}|=)){_GOES_ON}(?!-)(?:{_VALUE})"
    r"|((?<![\w-])(?:-u|--user|--proxy-user)(?:\s{1,4}|=)[\"']?[^\s:\"']{0,100}:)\S+"
    r"|(\b(?:mysql\w*|mariadb\w*|redis-cli|sshpass|mongo\w*|ldap\w+|psql|htpasswd)\b[^\r\n|;]{0,200}?\s-[pawW]\s{0,2})(?!\s)\S+"
)
_NAME = re.compile(rf"(?i){_KIND}{_NO_FILE}|{_KIND_ZH}")
# Nothing is secret without one of these; they keep text without secrets cheap.
_SIGN = re.compile(
    rf"(?i){_KIND}|{_KIND_ZH}|://|bearer|basic|negotiate|digest|cookie|-----BEGIN|webhook|/hook/|[?&]key=|-u\s|--user|--proxy|\s-[paw]"
)

_Put: TypeAlias = Callable[[re.Match[str]], str]


def _kept(match: re.Match[str]) -> str:
    """What leads to the secret stays."""
    return next((group for group in match.groups() if group), "") + _MARK


def _url(match: re.Match[str]) -> str:
    user = match["user"]
    return f"{match['scheme']}{_MARK}@" if user is None else f"{match['scheme']}{user}:{_MARK}@"


_SIGNED: tuple[tuple[re.Pattern[str], _Put], ...] = (
    (_PRIVATE_KEY, _kept),
    (_IN_URL, _url),
    (_WEBHOOK, _kept),
    (_PARAMETER, _kept),
    (_HEADER, _kept),
    (_CONNECTION, _kept),
    (_PAIR_ZH, _kept),
    (_PAIR, _kept),
    (_FLAG, _kept),
    (_SAID, _kept),
    (_GIVEN, _kept),
    (_SAID_AFAR, _kept),
    (_NEAR, _kept),
    (_NEAR_ZH, _kept),
    (_SCHEME, _kept),
)


def redact(text: str) -> str:
    """The text with `***` where secrets stood; the same text where there are none. O(len(text))."""
    return _masked(text, [])


def secrets_in(text: str) -> tuple[str, ...]:
    """What `redact` takes out and the words that it is made of, from `SHORTEST` characters on, longest first.

    For what is derived from a text, where a secret may stand without the sign that it was known by."""
    taken: list[str] = []
    _masked(text, taken)
    parts = {part.strip() for each in taken for part in (each, *re.split(r"(?:\\[nrt]|\W)+", each))}
    return tuple(sorted((part for part in parts if len(part) >= SHORTEST), key=lambda part: (-len(part), part)))


def _masked(text: str, taken: list[str]) -> str:
    """The text without secrets, which are appended to `taken`."""

    def take(put: _Put, match: re.Match[str]) -> str:
        masked = put(match)
        at = masked.rfind(_MARK)
        taken.append(match[0][at : len(match[0]) - (len(masked) - at - 1)])
        return masked

    if _SIGN.search(text):
        text = text.replace(_MARK, "\ufffd")
        for pattern, put in _SIGNED:
            text = pattern.sub(partial(take, put), text)
        text = text.replace(_MARK, HIDDEN)
    if found := _ISSUED.findall(text):
        taken += found
        text = _ISSUED.sub(HIDDEN, text)
    return text


def redact_plain(value: Any, known: Collection[str] = ()) -> Any:
    """`redact` in every string of plain data, keys too, and without the `known` secrets in any case of their letters; what stands
    under a name like `password` goes as a whole."""
    return _plain(value, re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None)


def _plain(value: Any, known: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return redact(known.sub(HIDDEN, value) if known else value)
    if isinstance(value, Mapping):
        return {_plain(str(key), known): _under(str(key), inner, known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, known) for inner in value]
    return value


def _under(name: str, value: Any, known: re.Pattern[str] | None) -> Any:
    if value in (None, "", True, False) or not _NAME.search(name):
        return _plain(value, known)
    return HIDDEN


class Formatter(logging.Formatter):
    """For the program's log: whatever is logged, traceback included, is written without its secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
