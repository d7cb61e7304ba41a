"""Signed content credentials: C2PA manifests, written with the user's own certificate, and read with `c2pa-python`.

Nothing is fetched: neither manifests kept elsewhere, nor the state of certificates, nor timestamps.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attribution_core._version import __version__
from attribution_core.common.optional import import_optional
from attribution_core.common.text import first_line, one_line
from attribution_core.credentials.iptc import GENERATED
from attribution_core.errors import CheckpointError, InvalidImageError

ESTIMATE = "org.attribution-explorer.estimate"
"""Label of the assertion that holds our estimate."""
TRAINING_MINING = ("cawg.training-mining", "c2pa.training-mining")
"""Labels of the assertion on training: of CAWG, and of C2PA before version 2."""
MARKERS = (b"c2pa", b"jumb")
"""Both are in every file with an embedded manifest."""
MIMES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}
_PURPOSE = "content credentials"
_MOST_BYTES = 100_000  # of a certificate or key file, or of an assertion
_MOST_TRUST = 5_000_000  # bytes
_LONGEST = 1000  # characters of one name
_UNTRUSTED = "signingCredential.untrusted"
_SETTINGS: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Signer:
    """Signs with a certificate and key in files, which are read for each signature and kept nowhere.

    certificate: PEM, the signer's own first, then those that vouch for it. key: PEM, without a password.
    """

    certificate: Path
    key: Path = field(repr=False)

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None) -> Signer | None:
        """Check both files and return what signs with them; None without either.

        Raises `CheckpointError` if one is missing or they cannot sign, `MissingDependencyError` as `sign` does.
        """
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            lacks = "certificate (ATTRIBUTION_C2PA_CERTIFICATE)" if key else "key (ATTRIBUTION_C2PA_KEY)"
            raise CheckpointError(f"signing needs a certificate and its key, and the {lacks} is not given.")
        signer = cls(certificate, key)
        signer._material()
        return signer

    def sign(
        self, data: bytes, kind: str, *, title: str, generator: str, estimate: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return a picture's file with a manifest: that a trained model created it, and our estimate.

        Training images are not declared as ingredients: a share is an estimate, not a record.

        Args:
            data: The file, with all other metadata already in it.
            kind: "png", "jpeg" or "webp".
            title: Of the picture.
            generator: Name of the model.
            estimate: JSON, as `reports.estimate.estimate_of` makes it.

        Raises:
            CheckpointError: A file is missing, damaged or expired, or the two do not belong together.
            MissingDependencyError: The extra c2pa is not installed.
        """
        c2pa = import_optional("c2pa", _PURPOSE)
        certificate, key, algorithm = self._material()
        action = {
            "action": "c2pa.created",
            "digitalSourceType": GENERATED,
            "softwareAgent": {"name": one_line(generator) or "unknown generator"},
        }
        assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]
        if estimate is not None:
            assertions.append({"label": ESTIMATE, "data": dict(estimate)})
        manifest = {
            "claim_generator_info": [{"name": "Attribution Explorer", "version": __version__}],
            "title": one_line(title),
            "format": MIMES[kind],
            "assertions": assertions,
        }
        out = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(algorithm, certificate, key, None)
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Context(c2pa.Settings.from_dict(_SETTINGS)) as context,
                c2pa.Builder.from_json(manifest, context=context) as builder,
            ):
                builder.sign(signer, MIMES[kind], io.BytesIO(data), out)
        except c2pa.C2paError as error:
            raise CheckpointError(
                f"the picture cannot be signed with '{self.certificate}' ({first_line(error)}); give a certificate "
                "that is made for signing content credentials, with those that vouch for it behind it."
            ) from error
        return out.getvalue()

    def _material(self) -> tuple[bytes, bytes, str]:
        """Certificate, key and algorithm, after all checks that give a clearer message than the library does."""
        import_optional("c2pa", _PURPOSE)
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        certificate = _read(self.certificate, "certificate")
        secret = _read(self.key, "key")
        try:
            own = x509.load_pem_x509_certificates(certificate)[0]
        except ValueError as error:
            raise CheckpointError(
                f"the certificate in '{self.certificate}' cannot be read; give a PEM file, which begins with "
                "-----BEGIN CERTIFICATE-----."
            ) from error
        try:
            key = serialization.load_pem_private_key(secret, None)
        except (ValueError, TypeError) as error:  # the message of the cause may quote the key
            raise CheckpointError(
                f"the key in '{self.key}' cannot be read; give a PEM file without a password."
            ) from error
        now = datetime.datetime.now(datetime.UTC)
        if now > own.not_valid_after_utc:
            raise CheckpointError(
                f"the certificate in '{self.certificate}' expired on {own.not_valid_after_utc:%Y-%m-%d}; renew it."
            )
        if now < own.not_valid_before_utc:
            raise CheckpointError(
                f"the certificate in '{self.certificate}' is valid from {own.not_valid_before_utc:%Y-%m-%d} only; "
                "wait, or set this machine's clock."
            )
        if key.public_key() != own.public_key():
            raise CheckpointError(
                f"the key in '{self.key}' is not that of the certificate in '{self.certificate}'; give the pair."
            )
        return certificate, secret, _algorithm(key, self.key)


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        names = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if key.curve.name in names:
            return names[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise CheckpointError(
        f"the key in '{path}' is of a kind that C2PA does not sign with; give an ECDSA key (P-256, P-384, P-521), "
        "RSA or Ed25519."
    )


def _read(path: Path, what: str, most: int = _MOST_BYTES) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such file"
        raise CheckpointError(f"the {what} '{path}' cannot be read ({reason}); check its path.") from error
    if not data or len(data) > most:
        raise CheckpointError(f"the {what} '{path}' is empty or too large to be one; give a PEM file.")
    return data


@dataclass(frozen=True)
class Manifest:
    """A picture's signed content credentials, as its file gives them.

    state: "trusted" if the signature fits the file and a listed certificate vouches for its signer, "valid" if only
    the signature fits, "invalid" if the file or its credentials were changed. signer: names on the certificate; ""
    where there are none. source_types: of the picture, URIs. assertions: label -> data, of `ESTIMATE`
    and `TRAINING_MINING` alone. problem: code of the first check that failed, or "".
    """

    state: str
    signer: str = ""
    source_types: tuple[str, ...] = ()
    assertions: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""


def has_manifest(data: bytes) -> bool:
    """Whether a file seems to hold an embedded manifest; needs no extra package."""
    return all(marker in data for marker in MARKERS)


def read_manifest(data: bytes, kind: str, trust: str = "") -> Manifest | None:
    """Read and check the active manifest of a picture's file; None if it has none.

    Args:
        data: The file.
        kind: "png", "jpeg", "webp" or "gif".
        trust: PEM text of the certificates whose signers are trusted, from `read_trust`; "" trusts none.

    Raises:
        InvalidImageError: The credentials are damaged beyond reading.
        MissingDependencyError: The extra c2pa is not installed.
    """
    if not has_manifest(data) or kind not in MIMES:
        return None
    c2pa = import_optional("c2pa", _PURPOSE)
    anchors = {"trust": {"trust_anchors": trust, "verify_trust_list": True}} if trust else {}
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict({**_SETTINGS, **anchors})) as context,
            c2pa.Reader(MIMES[kind], io.BytesIO(data), context=context) as reader,
        ):
            state = str(reader.get_validation_state() or "").casefold()
            store = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        raise InvalidImageError(
            f"the picture's signed credentials are damaged and cannot be read ({first_line(error)})."
        ) from error
    return _manifest(store, state)


def read_trust(path: Path | None) -> str:
    """Read a PEM file of trusted certificates; "" without one.

    Raises `CheckpointError` if it cannot be read, `MissingDependencyError` as `read_manifest` does.
    """
    if path is None:
        return ""
    import_optional("c2pa", _PURPOSE)
    from cryptography import x509

    data = _read(path, "list of trusted certificates", _MOST_TRUST)
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise CheckpointError(f"'{path}' holds no certificates; give a PEM file.") from error
    return data.decode("utf-8", "replace")


def _manifest(store: Any, state: str) -> Manifest:
    """Take what is shown out of the reader's JSON, which is as hostile as the file."""
    active = _dict(_dict(_dict(store).get("manifests")).get(_dict(store).get("active_manifest")))
    signature = _dict(active.get("signature_info"))
    names = [signature.get("common_name"), signature.get("issuer")]
    listed = active.get("assertions")
    assertions = {
        str(one.get("label")): one.get("data")
        for one in map(_dict, listed if isinstance(listed, list) else [])
    }
    actions: Any = next(
        (
            _dict(data).get("actions")
            for label, data in assertions.items()
            if label.startswith("c2pa.actions")
        ),
        [],
    )
    types = [_dict(one).get("digitalSourceType") for one in (actions if isinstance(actions, list) else [])]
    failures = _dict(store).get("validation_status")
    codes = [str(_dict(one).get("code", "")) for one in (failures if isinstance(failures, list) else [])]
    return Manifest(
        state if state in ("trusted", "valid") else "invalid",
        ", ".join(dict.fromkeys(str(name) for name in names if name))[:_LONGEST],
        tuple(str(one)[:_LONGEST] for one in types[:10] if one),
        {
            label: data
            for label, data in assertions.items()
            if label.startswith((ESTIMATE, *TRAINING_MINING)) and len(json.dumps(data)) <= _MOST_BYTES
        },
        next((code for code in codes if code and code != _UNTRUSTED), "")[:_LONGEST],
    )


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
