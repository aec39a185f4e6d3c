"""The key a user of NATS proves itself with: an Ed25519 seed, which stays with us, and its public key, which the server
knows. Both are text: base32 of what kind of key it is, the key, and a checksum.

NATS' own library for this has no wheel and brings a second library of ciphers along (docs/decisions/0017).
"""

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_USER: Final = 20 << 3  # a public key of a user begins with U
_SEED: Final = 18 << 3  # and a seed with S, and the kind of its public key
_USER_SEED: Final = bytes([_SEED | _USER >> 5, (_USER & 31) << 3])
_CHECKSUM_BYTES: Final = 2


class InvalidSeed(ValueError):
    """The text is no seed of a user. It is not in the message."""

    def __init__(self) -> None:
        super().__init__("is no seed of a NATS user, which is 58 characters that begin with SU")


class UserKey:
    """The key pair of one user."""

    __slots__ = ("_private",)

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """This will take the private key."""
        self._private = private

    @classmethod
    def from_seed(cls, seed: str) -> "UserKey":
        """The key pair of a seed (`SU…`). Raises InvalidSeed."""
        try:
            decoded = base64.b32decode(seed + "=" * (-len(seed) % 8))
        except (binascii.Error, ValueError):  # told without what it was
            raise InvalidSeed from None
        content = decoded[:-_CHECKSUM_BYTES]
        kind, key = content[: len(_USER_SEED)], content[len(_USER_SEED) :]
        # Written anew it must be the same: its checksum too, and the bits its last letter has to spare.
        if _encode(content) != seed or kind != _USER_SEED or len(key) != 32:
            raise InvalidSeed
        return cls(Ed25519PrivateKey.from_private_bytes(key))

    @classmethod
    def generate(cls) -> "UserKey":
        """A key pair nobody has."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        """The public key (`U…`), for the server's configuration. It is no secret."""
        return _encode(bytes([_USER]) + self._private.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """The seed (`SU…`): whoever has it is this user."""
        return _encode(_USER_SEED + self._private.private_bytes_raw())

    def sign(self, nonce: str) -> bytes:
        """The signature of what the server asks to be signed, as nats-py sends it."""
        return base64.b64encode(self._private.sign(nonce.encode()))


def _encode(content: bytes) -> str:
    return base64.b32encode(content + _checksum(content)).decode().rstrip("=")


def _checksum(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(_CHECKSUM_BYTES, "little")  # CRC-16/XMODEM
