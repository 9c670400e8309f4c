"""The server's TLS: a certificate that was given, or one of its own certificate authority in the data folder.

Keys are readable by their owner only and never leave the folder. What the authority made is kept over restarts, and
made anew when it is about to expire or when the server gets another name.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci.clock import Clock
from anka_ci.errors import UsageError
from anka_ci.server.auth import keep

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

FOLDER = "tls"
DAYS, LEFT = 397, 30
"""Days that a certificate is good for, and days before its end at which a start makes a new one."""
CLIENT = ("anka-ci", "anka-ci")
"""CN (the user) and O (the group) of the client certificate that is made with the authority."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Paths of PEM files. ``ca`` is whom callers have to trust; the others are there where they are used."""

    certificate: Path
    key: Path
    ca: Path | None = None
    client_ca: Path | None = None
    client: Path | None = None
    client_key: Path | None = None


def files(data: Path, names: Sequence[str], clock: Clock, *, client: bool) -> Files:
    """Those of the data folder's own authority, for a server of these ``names``; with ``client`` a client's too.

    ``UsageError`` without the package cryptography.
    """
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        hint = "pip install 'anka-ci[signin]', or give a certificate with --cert and --key"
        raise UsageError("a certificate of its own needs the package cryptography", hint=hint) from None
    folder = data / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        made = _Authority(folder, clock)
        server = made.certificate("server", "anka-ci server", names=names)
        found = made.certificate("client", CLIENT[0], group=CLIENT[1]) if client else None
    except (OSError, ValueError) as error:
        hint = f"remove {folder}, and it is made anew; callers then have to trust the new {folder / 'ca.pem'}"
        raise UsageError(f"the certificates in {folder} cannot be used: {error}", hint=hint) from error
    return Files(
        certificate=server[0],
        key=server[1],
        ca=made.file,
        client_ca=made.file,
        client=found[0] if found else None,
        client_key=found[1] if found else None,
    )


def context(found: Files, client_ca: Path | None) -> ssl.SSLContext:
    """TLS as the server speaks it. With ``client_ca`` callers are asked for a certificate, which has to be of it.

    One that is not ends the handshake; without any the caller comes through, to be told 401. OpenSSL refuses SHA-1.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An empty passphrase, because without one OpenSSL asks the person at the terminal.
        made.load_cert_chain(found.certificate, found.key, lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
        hint = "both have to be PEM, the key without a passphrase, and they have to belong together"
        text = f"the certificate {found.certificate} with the key {found.key} cannot be used"
        raise UsageError(f"{text}: {why}" if why else text, hint=hint) from error
    if client_ca is not None:
        try:
            made.load_verify_locations(client_ca)
        except OSError as error:
            why = error.strerror or "it holds no certificate"
            raise UsageError(f"the client CA {client_ca} cannot be used: {why}") from error
        made.verify_mode = ssl.CERT_OPTIONAL
    return made


class _Authority:
    """The authority in a folder, made at its first use; ``file`` is its certificate."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._folder = folder
        self._now = datetime.datetime.fromtimestamp(clock.now(), datetime.timezone.utc)
        self.file = folder / "ca.pem"
        key_file = folder / "ca.key"
        if not self.file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(key_file, _pem(key))
            self._write(self.file, self._sign(_named("anka-ci authority of this data folder"), key, None, key, 3650))
        self._certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded

    def certificate(self, file: str, name: str, *, group: str = "", names: Sequence[str] = ()) -> tuple[Path, Path]:
        """A certificate and its key: of a server with these ``names``, or of a client in the ``group``."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        pem, key_file = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        if pem.exists() and key_file.exists() and self._good(x509.load_pem_x509_certificate(pem.read_bytes()), names):
            return pem, key_file
        key: EllipticCurvePrivateKey | RSAPrivateKey = ec.generate_private_key(ec.SECP256R1())
        if group:  # Anka's Jenkins plugin reads RSA keys
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        content = self._sign(_named(name, group), key, self._certificate, self._key, DAYS, names)
        self._write(key_file, _pem(key))
        self._write(pem, content)
        return pem, key_file

    def _good(self, found: x509.Certificate, names: Sequence[str]) -> bool:
        """Whether it is of this authority, still good for a while, and for these names."""
        left = found.not_valid_after_utc - self._now
        return (
            found.issuer == self._certificate.subject
            and left > datetime.timedelta(days=LEFT)
            and (not names or {*names} <= {*_names(found)})
        )

    def _sign(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey | RSAPrivateKey,
        issuer: x509.Certificate | None,
        signer: EllipticCurvePrivateKey,
        days: int,
        names: Sequence[str] = (),
    ) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID

        public = key.public_key()
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(
            issuer_name=subject if issuer is None else issuer.subject,
            subject_name=subject,
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=self._now - day,  # clocks differ
            not_valid_after=self._now + days * day,
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        builder = builder.add_extension(authority, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        usage |= {"decipher_only": False, "crl_sign": issuer is None, "key_cert_sign": issuer is None}
        builder = builder.add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        if issuer is not None:
            use = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, file: Path, content: bytes) -> None:
        keep(file, content, 0o644 if file.suffix == ".pem" else 0o600)


def _named(name: str, group: str = "") -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    return x509.Name(parts + ([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []))


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(found: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        value = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*value.get_values_for_type(x509.DNSName), *map(str, value.get_values_for_type(x509.IPAddress))]


def _pem(key: EllipticCurvePrivateKey | RSAPrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
