"""Proofs of who sent a request: the signatures of the chat platforms, and how long and how often each is believed.

Pure: bytes and a moment in, `Proof` out or `Distrusted` raised, whatever the bytes are. Secrets are compared in constant time and
as bytes, since a text that is not ASCII breaks the comparison. What a platform's signature leaves out (Mattermost the time,
DingTalk the body) is said at its function.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

FRESH_S = 300  # how far a signed moment may lie from ours, on either side
REMEMBERED_S = 30 * 86_400  # how long a request that binds no time is known
REPEATED_S = 86_400  # how long a message is known that a platform may send again, signed anew; Feishu does for 7 h
AES_BLOCK = 16
WECOM_BLOCK = 32  # its padding fills blocks of this size
RANDOM = 16  # bytes before a message of WeCom

Headers = Mapping[bytes, bytes]  # names in lower case, as ASGI has them


class Distrusted(Exception):
    """The request does not prove who sent it. The message tells which part, and nothing of what was expected."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A request that is believed. `once`: what no second request may bring, until `ends` (seconds since 1970)."""

    once: bytes
    ends: float


def digest(*parts: bytes) -> bytes:
    """Of what may come but once; no two lists of parts have the same."""
    return hashlib.sha256(b"".join(struct.pack(">I", len(part)) + part for part in parts)).digest()


# ---------------------------------------------------------------- Slack, https://docs.slack.dev/authentication/verifying-requests-from-slack


def slack(secret: bytes, headers: Headers, body: bytes, now: float) -> Proof:
    """`v0`: HMAC-SHA256 over `v0:TIME:BODY`, in hexadecimal."""
    moment = headers.get(b"x-slack-request-timestamp", b"")
    ends = _fresh(moment, now)
    due = b"v0=" + _hexadecimal(secret, b"v0:" + moment + b":" + body)
    _same(due, headers.get(b"x-slack-signature", b""))
    return Proof(digest(b"slack", due), ends)


# ---------------------------------------------------------------- Mattermost, https://developers.mattermost.com/integrate/slash-commands/custom


def mattermost(token: bytes, given: bytes, trigger: bytes, now: float) -> Proof:
    """A shared token, in the form or after `Token` in the header. It binds neither time nor body: `trigger` (trigger_id), which
    Mattermost makes anew for each command, is what may come once."""
    _same(token, given)
    if not trigger:
        raise Distrusted("the trigger_id is missing")
    return Proof(digest(b"mattermost", trigger), now + REMEMBERED_S)


# ---------------------------------------------------------------- WeCom and WeChat, https://developer.work.weixin.qq.com/document/path/90968


@dataclass(frozen=True, slots=True)
class WeCom:
    """One callback of one tenant: its token, its EncodingAESKey (43 characters), and whom messages are for."""

    token: bytes
    key: bytes
    receiver: bytes

    def check(self, given: bytes, moment: bytes, nonce: bytes, encrypted: bytes, now: float) -> Proof:
        """`msg_signature`: SHA-1 over the sorted token, time, nonce and ciphertext."""
        ends = _fresh(moment, now)
        due = self.sign(moment, nonce, encrypted)
        _same(due, given)
        # Nothing parts time and nonce in it, so that other ones may have the same signature: that alone may come once.
        return Proof(digest(b"wecom", self.receiver, due), ends)

    def check_plain(self, given: bytes, moment: bytes, nonce: bytes, now: float) -> Proof:
        """`signature`, by which WeChat asks whether an address is ours: it covers no message, so none may be believed by it."""
        return self.check(given, moment, nonce, b"", now)

    def sign(self, moment: bytes, nonce: bytes, encrypted: bytes) -> bytes:
        """What `check` wants to see, for answers too."""
        return hashlib.sha1(b"".join(sorted((self.token, moment, nonce, encrypted)))).hexdigest().encode()  # noqa: S324 - theirs

    def open(self, encrypted: bytes) -> bytes:
        """The message: AES-256-CBC, 16 random bytes, its length, itself, whom it is for, PKCS#7 in blocks of 32."""
        key = _base64(self.key + b"=", "the key")
        if len(key) != 32:
            raise Distrusted("the key is not one of 43 characters")
        plain = _unpadded(_decrypted(key, key[:AES_BLOCK], _base64(encrypted, "the message")), WECOM_BLOCK)
        if len(plain) < RANDOM + 4:
            raise Distrusted("the message is cut off")
        (length,) = struct.unpack_from(">I", plain, RANDOM)
        start = RANDOM + 4
        if length > len(plain) - start:
            raise Distrusted("the message is cut off")
        _same(self.receiver, plain[start + length :])
        return plain[start : start + length]

    def seal(self, message: bytes, random: bytes) -> bytes:
        """The inverse of `open`, for answers; `random` has 16 bytes."""
        key = _base64(self.key + b"=", "the key")
        plain = random + struct.pack(">I", len(message)) + message + self.receiver
        fill = WECOM_BLOCK - len(plain) % WECOM_BLOCK
        return base64.b64encode(_encrypted(key, key[:AES_BLOCK], plain + bytes([fill]) * fill))


# ---------------------------------------------------------------- Feishu and Lark, https://open.feishu.cn/document/server-docs/event-subscription-guide


def feishu(key: bytes, headers: Headers, body: bytes, now: float) -> Proof:
    """SHA-256 over time, nonce, key and body, in hexadecimal."""
    moment, nonce = headers.get(b"x-lark-request-timestamp", b""), headers.get(b"x-lark-request-nonce", b"")
    ends = _fresh(moment, now)
    due = hashlib.sha256(moment + nonce + key + body).hexdigest().encode()
    _same(due, headers.get(b"x-lark-signature", b""))
    return Proof(digest(b"feishu", due), ends)


def feishu_token(due: bytes, given: bytes) -> None:
    """The verification token, which stands inside an event, and alone proves the question whether an address is ours."""
    _same(due, given)


def feishu_open(key: bytes, encrypted: bytes) -> bytes:
    """The event: AES-256-CBC under the key's SHA-256, the first block is the vector, PKCS#7."""
    sealed = _base64(encrypted, "the event")
    vector, rest = sealed[:AES_BLOCK], sealed[AES_BLOCK:]
    return _unpadded(_decrypted(hashlib.sha256(key).digest(), vector, rest), AES_BLOCK)


# ---------------------------------------------------------------- DingTalk, https://open.dingtalk.com/document/robots/customize-robot-security-settings


def dingtalk(secret: bytes, headers: Headers, body: bytes, now: float) -> Proof:
    """HMAC-SHA256 over the time in milliseconds and the secret. It does not cover the body, so a signature may come but once."""
    moment = headers.get(b"timestamp", b"")
    ends = _fresh(moment, now, per_second=1000)
    due = base64.b64encode(hmac.new(secret, moment + b"\n" + secret, hashlib.sha256).digest())
    _same(due, headers.get(b"sign", b""))
    if not body:
        raise Distrusted("the body is missing")
    return Proof(digest(b"dingtalk", due), ends)


# ---------------------------------------------------------------- webhooks of others, https://www.standardwebhooks.com


def webhook(secret: bytes, headers: Headers, body: bytes, now: float) -> Proof:
    """`v1`: HMAC-SHA256 over `ID.TIME.BODY` in base64; the header may bring several, of which one must fit."""
    name, moment = headers.get(b"webhook-id", b""), headers.get(b"webhook-timestamp", b"")
    ends = _fresh(moment, now)
    due = sign_webhook(secret, name, moment, body)
    fits = [hmac.compare_digest(due, one) for one in headers.get(b"webhook-signature", b"").split(b" ")[:8]]
    if not name or not any(fits):
        raise Distrusted("the signature does not fit")
    return Proof(digest(b"webhook", name), ends)


def sign_webhook(secret: bytes, name: bytes, moment: bytes, body: bytes) -> bytes:
    """What goes into `webhook-signature` for what we send."""
    digest = hmac.new(secret, name + b"." + moment + b"." + body, hashlib.sha256).digest()
    return b"v1," + base64.b64encode(digest)


# ---------------------------------------------------------------- parts


def _same(due: bytes, given: bytes) -> None:
    if not due or not hmac.compare_digest(due, given):
        raise Distrusted("the signature does not fit")


def _fresh(moment: bytes, now: float, per_second: int = 1) -> float:
    """Until when a request signed at `moment` could be believed."""
    if not moment.isdigit() or len(moment) > 14:
        raise Distrusted("the time of the signature is missing")
    signed = int(moment) / per_second
    if abs(now - signed) > FRESH_S:
        raise Distrusted(f"the signature is not of the last {FRESH_S} s")
    return signed + FRESH_S


def _hexadecimal(secret: bytes, text: bytes) -> bytes:
    return hmac.new(secret, text, hashlib.sha256).hexdigest().encode()


def _base64(text: bytes, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Distrusted(f"{what} is not base64") from error


def _unpadded(plain: bytes, block: int) -> bytes:
    """Without PKCS#7, all of which is looked at. The signature was checked before: an oracle would need the key to be asked."""
    fill = plain[-1] if plain else 0
    if not 1 <= fill <= min(block, len(plain)) or plain[-fill:] != bytes([fill]) * fill:
        raise Distrusted("the padding is wrong")
    return plain[:-fill]


def _decrypted(key: bytes, vector: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if not sealed or len(sealed) % AES_BLOCK or len(vector) != AES_BLOCK:
        raise Distrusted("the message is cut off")
    opening = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return opening.update(sealed) + opening.finalize()


def _encrypted(key: bytes, vector: bytes, plain: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    sealing = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return sealing.update(plain) + sealing.finalize()
