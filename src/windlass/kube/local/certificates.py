"""The API server's own certificate authority, and the server certificate that it signs."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
NAMES = ("localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are. `ca_pem` is what clients trust."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def ca_pem(self) -> str:
        """The authority's certificate."""
        return self.ca.read_text(encoding="ascii")


def ensure_certificates(folder: Path, names: Sequence[str] = NAMES) -> Certificates:
    """Make the authority and the server's certificate in `folder` where they are missing, run out or lack a name.

    The authority is made once and kept, so that kubeconfigs stay valid. Keys are readable by the owner only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_file, ca_key_file = folder / "ca.crt", folder / "ca.key"
    if not (ca_file.exists() and ca_key_file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(ca_key_file, _key_pem(key))
        _write(ca_file, _authority(key).public_bytes(serialization.Encoding.PEM))
    made = Certificates(ca_file, folder / "server.crt", folder / "server.key")
    authority = x509.load_pem_x509_certificate(ca_file.read_bytes())
    if not _usable(made, authority, names):
        ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), password=None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101 we wrote it
        key = ec.generate_private_key(ec.SECP256R1())
        _write(made.key, _key_pem(key))
        certificate = _server(key, ca_key, authority, names)
        _write(made.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, at once or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: str, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder("windlass-ca", _name("windlass-ca"), CA_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    names: Sequence[str],
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder("windlass-kubernetes-api", authority.subject, SERVER_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usable(made: Certificates, authority: x509.Certificate, names: Sequence[str]) -> bool:
    if not (made.certificate.exists() and made.key.exists()):
        return False
    found = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    if found.issuer != authority.subject or found.not_valid_after_utc < datetime.now(UTC) + timedelta(
        days=RENEW_DAYS
    ):
        return False
    try:
        found.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 whatever is wrong with it, it is made anew
        return False
    listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {_general(name) for name in names} <= set(listed)
