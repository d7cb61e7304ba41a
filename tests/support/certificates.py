"""Certificates and keys that are made on the spot, and pictures signed with them."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from attribution_core.credentials.c2pa import Signer


@dataclass(frozen=True)
class Issued:
    """certificate: PEM file of signer and root. key: the signer's. root: PEM file of who vouches."""

    certificate: Path
    key: Path
    root: Path

    @property
    def trust(self) -> str:
        return self.root.read_text()

    @property
    def signer(self) -> Signer:
        return Signer(self.certificate, self.key)


def issue(folder: Path, *, first_day: int = -1, last_day: int = 30, kind: str = "es256") -> Issued:
    """Make a root and a signer's certificate, valid from and until so many days from now."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), _key(kind)

    def certificate(name: str, public: Any, *, ca: bool) -> x509.Certificate:
        built = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("Test root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(first_day - ca))
            .not_valid_after(now + datetime.timedelta(last_day + ca))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(_usage(ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
        )
        if not ca:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            built = built.add_extension(purpose, critical=False)
        return built.sign(root_key, hashes.SHA256())

    root = _pem(certificate("Test root", root_key.public_key(), ca=True))
    own = _pem(certificate("Ada", key.public_key(), ca=False))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = {"certificate.pem": own + root, "key.pem": secret, "root.pem": root}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Issued(*(folder / name for name in files))


def with_assertions(issued: Issued, data: bytes, mime: str, assertions: list[dict[str, Any]]) -> bytes:
    """Sign a picture as another program would, with any assertions."""
    text = issued.certificate.read_bytes(), issued.key.read_bytes()
    info = c2pa.C2paSignerInfo("es256", *text, None)
    created = {"action": "c2pa.created", "digitalSourceType": "http://c2pa.org/digitalsourcetype/empty"}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
    manifest = {"claim_generator_info": [{"name": "test"}], "assertions": [actions, *assertions]}
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder.from_json(manifest) as builder:
        builder.sign(signer, mime, io.BytesIO(data), out)
    return out.getvalue()


def _key(kind: str) -> Any:
    if kind == "ps256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(
        {"es256": ec.SECP256R1(), "es384": ec.SECP384R1(), "k1": ec.SECP256K1()}[kind]
    )


def _name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"),
        ]
    )


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
