"""A certificate authority as a value: its key and certificate, in memory and as PEM.

No files and no policy: root.py and intermediate.py make authorities, files.py keeps them.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doorward.errors import Misconfigured

SIGNATURE_HASH: Final = hashes.SHA256()
# RFC 5280 section 4.2.1.3: an authority's key signs certificates and revocation lists, nothing else.
CA_KEY_USAGE: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, with its key."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private key, unencrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def parse_authority(key_pem: bytes, certificate_pem: bytes, *, where: str) -> Authority:
    """Key and certificate that belong together; raises Misconfigured."""
    try:
        key = serialization.load_pem_private_key(key_pem, None)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (ValueError, TypeError):
        raise Misconfigured(
            "no unencrypted key with its certificate",
            cause="ca-unreadable",
            where=where,
            hint="put back the files that `doorward init` made",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Misconfigured(
            "the key does not belong to the certificate",
            cause="ca-unreadable",
            where=where,
            hint="put back the files that `doorward init` made, from one and the same run",
        )
    return Authority(key, certificate)


def plain_name(common_name: str) -> x509.Name:
    """A subject of one common name and the project's organization."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "doorward"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
