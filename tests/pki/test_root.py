import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from doorward.pki.root import make_root

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)


def test_the_root_lives_ten_years_and_signs_authorities_alone() -> None:
    root = make_root(NOW)
    certificate = root.certificate
    certificate.verify_directly_issued_by(certificate)
    assert isinstance(root.key.curve, ec.SECP256R1)
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=3650)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=1)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_two_roots_can_be_told_apart_by_name() -> None:
    assert make_root(NOW).certificate.subject != make_root(NOW).certificate.subject
