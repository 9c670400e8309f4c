"""Private keys in every spelling that Anka's tools and people use: PEM or base64 DER, PKCS#1 or PKCS#8, PKCS#12.

The only client part that needs the package cryptography, which is imported where it is used. A key stays in memory; no
error says anything of what a key or passphrase holds.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from anka_ci.errors import NotAuthorisedError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from anka_ci.auth import Material
    from anka_ci.secret import Secret


def private_key(material: Material, passphrase: Secret | None, what: str) -> RSAPrivateKey:
    """The RSA key of an API key. Anka's own form is base64 of PKCS#1 DER on one line."""
    found = _load(material, passphrase, what)
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if not isinstance(found, RSAPrivateKey):
        raise UsageError(f"{what}: the private key is no RSA key", hint="an Anka API key is RSA of 2048 bits or more")
    return found


def _load(material: Material, passphrase: Secret | None, what: str) -> object:
    _needed(what)
    from cryptography.hazmat.primitives import serialization

    text = material.secret.reveal()
    password = passphrase.reveal().encode() if passphrase else None
    try:
        if material.pem:
            encrypted = "ENCRYPTED" in text
            return serialization.load_pem_private_key(text.encode(), password if encrypted else None)
        return serialization.load_der_private_key(base64.b64decode(text), None)
    except (ValueError, TypeError, binascii.Error):
        hint = "it has to be PEM or one line of base64; set ANKA_CI_PASSPHRASE if it is encrypted"
        raise UsageError(f"{what}: the private key cannot be read, or its passphrase is wrong", hint=hint) from None
    except Exception as error:  # UnsupportedAlgorithm, which is not a ValueError in every release
        raise UsageError(f"{what}: the private key is of a kind that cannot be used: {type(error).__name__}") from None


def decrypt(key: RSAPrivateKey, content: bytes, what: str) -> bytes:
    """Undo RSA-OAEP with SHA-256, its MGF1 with SHA-256 too, and an empty label, as Anka's TAP uses it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    mask = padding.MGF1(algorithm=hashes.SHA256())
    try:
        return key.decrypt(content, padding.OAEP(mgf=mask, algorithm=hashes.SHA256(), label=None))
    except ValueError:
        hint = "the private key belongs to another API key; make a new one, or correct ANKA_CI_API_KEY_ID"
        raise NotAuthorisedError(f"{what}: the private key does not fit the one that Anka has", hint=hint) from None


def pkcs12(material: Material, passphrase: Secret | None, what: str) -> tuple[bytes, bytes]:
    """Certificates (its own first) and key of a PKCS#12 file, as PEM in memory."""
    _needed(what)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12 as format12

    password = passphrase.reveal().encode() if passphrase else None
    try:
        content = base64.b64decode(material.secret.reveal())
        key, own, others = format12.load_key_and_certificates(content, password)
    except (ValueError, TypeError, binascii.Error):
        hint = "set ANKA_CI_PASSPHRASE to its passphrase; a PEM file works too"
        raise UsageError(f"{what}: the PKCS#12 file cannot be read, or its passphrase is wrong", hint=hint) from None
    except Exception as error:
        raise UsageError(f"{what}: the PKCS#12 file is of a kind that cannot be used: {type(error).__name__}") from None
    if key is None or own is None:
        raise UsageError(f"{what}: the PKCS#12 file holds no certificate with its key")
    pem = serialization.Encoding.PEM
    certificates = b"".join(each.public_bytes(pem) for each in (own, *others))
    return certificates, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def plain(material: Material, passphrase: Secret | None, what: str) -> bytes:
    """A private key as PEM without a passphrase, for a command that has no way to be told one."""
    _needed(what)
    from cryptography.hazmat.primitives import serialization

    key = _load(material, passphrase, what)
    form = serialization.PrivateFormat.TraditionalOpenSSL  # PKCS#1, which every release of Anka reads
    found: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())  # type: ignore[attr-defined]
    return found


def _needed(what: str) -> None:
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(f"{what} needs the package cryptography", hint="pip install 'anka-ci[signin]'") from None
