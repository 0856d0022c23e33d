"""The root that agents trust once: made by `doorward init`, then meant to be taken offline.

It signs intermediates and nothing else; intermediate.py does that.
"""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from doorward.pki.authority import CA_KEY_USAGE, SIGNATURE_HASH, Authority, new_key, plain_name

ROOT_DAYS: Final = 3650


def make_root(now: datetime, *, days: int = ROOT_DAYS) -> Authority:
    """A new root. Its name carries part of its key's id, so that roots of several deployments can be told apart."""
    key = new_key()
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = plain_name(f"doorward root {key_id.digest.hex()[:8]}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(CA_KEY_USAGE, critical=True)
        .add_extension(key_id, critical=False)
        .sign(key, SIGNATURE_HASH)
    )
    return Authority(key, certificate)
