"""The RSA pair of an API key: made, taken over from its owner, and used to seal a secret.

A private half is handed out and never kept. Source of the forms: Anka's pages on API keys (PKCS#1 and PKIX, in DER).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from anka_ci.errors import RefusedError
from anka_ci.server.auth import decoded64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

BITS = 2048


def pair(given: object) -> tuple[bytes, str | None]:
    """The public key as DER, and the private one as text where it was made here. RSA generation takes a while."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ModuleNotFoundError:
        raise RefusedError("API keys need the package cryptography: pip install 'anka-ci[signin]'") from None
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if given is not None:
        return _public(given).public_bytes(*spki), None
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    der = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return key.public_key().public_bytes(*spki), base64.b64encode(der).decode()


def _public(given: object) -> RSAPublicKey:
    """PKIX in DER as one line of base64, or the same as PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    text = given if isinstance(given, str) else ""
    body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    try:
        found = serialization.load_der_public_key(decoded64(body) or b"")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, RSAPublicKey) or not BITS <= found.key_size <= 8 * BITS:
        raise RefusedError(f"publicKey has to be base64 of an RSA key of {BITS} bits or more, in PKIX form")
    return found


def seal(public: bytes, content: bytes) -> bytes:
    """Content that only the owner of the private half can read: RSA-OAEP, with SHA-256 for its mask too."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key = serialization.load_der_public_key(public)
    assert isinstance(key, RSAPublicKey)
    mask = padding.MGF1(algorithm=hashes.SHA256())
    return key.encrypt(content, padding.OAEP(mgf=mask, algorithm=hashes.SHA256(), label=None))
