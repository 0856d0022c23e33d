"""The authority that signs the gateway's leaves: days long, and good for the targets' hosts alone.

Critical name constraints say so (RFC 5280 section 4.2.1.10), so that a stolen key of the
gateway opens no other connection of an agent. A permitted name also permits the names below
it; there is no way to say "this one only". files.py decides when one is issued.
"""

import ipaddress
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from doorward.errors import Misconfigured
from doorward.pki.authority import CA_KEY_USAGE, SIGNATURE_HASH, Authority, new_key, plain_name

INTERMEDIATE_DAYS: Final = 7
REISSUE_BEFORE: Final = timedelta(days=2)
_CLOCKS_DIFFER: Final = timedelta(hours=1)
# A constraint binds a kind of name only if it names one of that kind: nothing listed would mean all.
_NO_HOST: Final = "none.invalid"  # RFC 6761: never resolves
_ALL_ADDRESSES: Final = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def issue_intermediate(
    root: Authority, hosts: Collection[str], now: datetime, *, days: int = INTERMEDIATE_DAYS
) -> Authority:
    """An intermediate for `hosts` (names and addresses); raises Misconfigured for what is neither."""
    if root.certificate.not_valid_after_utc <= now + REISSUE_BEFORE:
        raise Misconfigured(
            f"the root's certificate ends at {root.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            cause="root-expired",
            hint="move the root's files away, make a new root with `doorward init`, and have every agent trust it",
        )
    key = new_key()
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root_id = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(plain_name(f"doorward gateway {key_id.digest.hex()[:8]}"))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(min(now + timedelta(days=days), root.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(CA_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(name_constraints(hosts), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), critical=False)
        .sign(root.key, SIGNATURE_HASH)
    )
    return Authority(key, certificate)


def needs_reissue(pem: bytes, hosts: Collection[str], now: datetime) -> bool:
    """Whether the intermediate in `pem` (its first certificate) is unreadable, old, or for other hosts."""
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return True
    if constraints != name_constraints(hosts):
        return True
    return not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - REISSUE_BEFORE


def name_constraints(hosts: Collection[str]) -> x509.NameConstraints:
    """What an intermediate for `hosts` permits; raises Misconfigured for what is no host."""
    addresses, names = set(), set()
    for host in hosts:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            names.add(_name(host))
        else:
            addresses.add(ipaddress.ip_network(address))
            if address.version == 4:
                # mitmproxy writes the host as common name too, and OpenSSL reads four numbers there as a name.
                names.add(str(address))
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(names or {_NO_HOST})]
    permitted += [x509.IPAddress(address) for address in sorted(addresses, key=str)]
    excluded = None if addresses else [x509.IPAddress(network) for network in _ALL_ADDRESSES]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded)


def _name(host: str) -> str:
    try:
        name = host.lower().encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not name or not all(part.replace("_", "-").strip("-").replace("-", "").isalnum() for part in name.split(".")):
        raise Misconfigured(
            f"{host!r} is no host", cause="ca-hosts", hint="name hosts as in `hosts` of a target, without a port"
        )
    return name
