"""Ed25519 signatures (RFC 8032) over bytes, with keys in PEM files as OpenSSL writes them.

Raises ConfigError where a key is none, or where the package `cryptography` is not installed.
"""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import TYPE_CHECKING

from aiops.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAKE = "`openssl genpkey -algorithm ed25519 -out FILE` makes one"


class Signer:
    """A private key. `pem` is the file's text, `name` what errors call it."""

    def __init__(self, pem: str, name: str) -> None:
        self._key = _private(pem, name)
        self.key_id = Checker(_public_pem(self._key), name).key_id

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(data)


class Checker:
    """A public key; the private one will do, too."""

    def __init__(self, pem: str, name: str) -> None:
        self._key = _private(pem, name).public_key() if "PRIVATE KEY" in pem else _public(pem, name)
        self.key_id = f"SHA256:{hashlib.sha256(self._key.public_bytes_raw()).hexdigest()}"

    def holds(self, data: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, of exactly this data."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def _private(pem: str, name: str) -> Ed25519PrivateKey:
    own = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = own.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:  # the text of the error may hold what was read
        raise ConfigError(f"{name}: is no private key in PEM without a passphrase; {MAKE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{name}: is no Ed25519 key; {MAKE}")
    return key


def _public(pem: str, name: str) -> Ed25519PublicKey:
    own = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = own.load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}: is no key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{name}: is no Ed25519 key")
    return key


def _public_pem(key: Ed25519PrivateKey) -> str:
    own = _serialization()
    return str(key.public_key().public_bytes(own.Encoding.PEM, own.PublicFormat.SubjectPublicKeyInfo).decode())


def _serialization() -> ModuleType:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise ConfigError("signatures need the package cryptography: pip install '.[sign]'") from error
    return serialization
