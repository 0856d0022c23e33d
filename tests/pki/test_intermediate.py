import datetime
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy.certs import CertStore, dummy_cert

from doorward.errors import Misconfigured
from doorward.pki.authority import Authority
from doorward.pki.files import CA_FILE, ROOT_FILE, write_ca_files
from doorward.pki.intermediate import issue_intermediate, name_constraints, needs_reissue
from doorward.pki.root import make_root

NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ("billing.internal", "10.0.0.1", "2001:db8::1", "müller.example")
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Authority:
    return make_root(NOW)


def chain_of(root: Authority, hosts: Sequence[str], now: datetime.datetime = NOW) -> bytes:
    intermediate = issue_intermediate(root, hosts, now)
    return intermediate.key_pem() + intermediate.certificate_pem() + root.certificate_pem()


class Leaves:
    """Leaves as mitmproxy signs them from the file that we wrote."""

    def __init__(self, folder: Path, root: Authority, hosts: Sequence[str]) -> None:
        self.folder = folder
        self.root_file = folder / ROOT_FILE
        self.root_file.write_bytes(root.certificate_pem())
        write_ca_files(folder, root, hosts, NOW)
        self.store = CertStore.from_store(folder, "mitmproxy", 2048)

    def leaf(self, host: str) -> Path:
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        store = self.store
        leaf = dummy_cert(store.default_privatekey, store.default_ca.to_cryptography(), host, [name])
        path = self.folder / "leaf.pem"
        path.write_bytes(leaf.to_pem())
        return path

    def openssl(self, host: str) -> str:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(self.root_file)]
        command += ["-untrusted", str(self.folder / CA_FILE), str(self.leaf(host))]
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return "" if run.returncode == 0 else run.stderr

    def handshake(self, host: str) -> str:
        """Empty when Python's ssl, trusting the root alone, accepts a server of this name; else why not."""
        leaf = self.leaf(host)
        served = self.folder / "served.pem"
        served.write_bytes(leaf.read_bytes() + (self.folder / CA_FILE).read_bytes())
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(served, self.folder / CA_FILE)
        client = ssl.create_default_context(cafile=str(self.root_file))
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with theirs:
                try:
                    server.wrap_socket(theirs, server_side=True).close()
                except (ssl.SSLError, OSError):
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with ours, client.wrap_socket(ours, server_hostname=host):
                return ""
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        finally:
            thread.join(10)


@pytest.fixture
def leaves(tmp_path: Path, root: Authority) -> Leaves:
    return Leaves(tmp_path, root, HOSTS)


@pytest.mark.parametrize(
    "host", ["billing.internal", "eu.billing.internal", "10.0.0.1", "2001:db8::1", "xn--mller-kva.example"]
)
def test_a_permitted_host_is_trusted(leaves: Leaves, host: str) -> None:
    assert leaves.handshake(host) == ""


@pytest.mark.parametrize("host", ["bank.example", "internal", "notbilling.internal", "10.0.0.2", "2001:db8::2"])
def test_another_host_is_refused(leaves: Leaves, host: str) -> None:
    assert leaves.handshake(host) == "permitted subtree violation"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_takes_the_same_view(leaves: Leaves) -> None:
    assert leaves.openssl("billing.internal") == ""
    assert leaves.openssl("10.0.0.1") == ""
    assert "permitted subtree violation" in leaves.openssl("bank.example")
    assert "permitted subtree violation" in leaves.openssl("10.0.0.2")


@pytest.mark.parametrize(
    ("hosts", "host", "problem"),
    [
        ((), "billing.internal", "permitted subtree violation"),
        ((), "10.0.0.1", "excluded subtree violation"),
        (("billing.internal",), "10.0.0.1", "excluded subtree violation"),
        (("10.0.0.1",), "billing.internal", "permitted subtree violation"),
        (("10.0.0.1",), "2001:db8::1", "permitted subtree violation"),
    ],
    ids=["no hosts, a name", "no hosts, an address", "names, an address", "addresses, a name", "IPv4, IPv6"],
)
def test_a_kind_that_is_not_listed_is_refused(
    tmp_path: Path, root: Authority, hosts: tuple[str, ...], host: str, problem: str
) -> None:
    assert Leaves(tmp_path, root, hosts).handshake(host) == problem


def test_the_intermediate_is_days_long_and_ends_the_path(root: Authority) -> None:
    certificate = issue_intermediate(root, HOSTS, NOW).certificate
    assert NOW + 6 * DAY < certificate.not_valid_after_utc < NOW + 8 * DAY
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
    root_id = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority_id.key_identifier == root_id.digest


@pytest.mark.parametrize(
    ("hosts", "later", "needed"),
    [
        (HOSTS, 0 * DAY, False),
        (tuple(reversed(HOSTS)) + HOSTS, 0 * DAY, False),
        (("BILLING.internal", *HOSTS[1:]), 0 * DAY, False),
        (HOSTS[1:], 0 * DAY, True),
        ((*HOSTS, "more.internal"), 0 * DAY, True),
        (HOSTS, 4 * DAY, False),
        (HOSTS, 5 * DAY, True),
        (HOSTS, 9 * DAY, True),
        (HOSTS, -1 * DAY, True),
    ],
    ids=["same", "order", "case", "fewer", "more", "half way", "two days left", "over", "clock set back"],
)
def test_when_to_reissue(root: Authority, hosts: Sequence[str], later: datetime.timedelta, needed: bool) -> None:
    assert needs_reissue(chain_of(root, HOSTS), hosts, NOW + later) is needed


@pytest.mark.parametrize("pem", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_cannot_be_read_is_reissued(pem: bytes) -> None:
    assert needs_reissue(pem, HOSTS, NOW)


def test_an_authority_without_constraints_is_reissued(root: Authority) -> None:
    assert needs_reissue(root.certificate_pem(), HOSTS, NOW)


def test_the_stock_authority_of_mitmproxy_is_reissued(tmp_path: Path) -> None:
    CertStore.from_store(tmp_path, "mitmproxy", 2048)
    assert needs_reissue((tmp_path / CA_FILE).read_bytes(), HOSTS, NOW)


@pytest.mark.parametrize("host", ["", "*.internal", "a b", "a..b", ".internal", "10.0.0.0/8", "x:443", "-"])
def test_what_is_no_host_is_an_error(host: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        name_constraints([host])
    assert caught.value.cause == "ca-hosts"


def test_underscores_stand_in_names_of_machines() -> None:
    permitted = name_constraints(["my_host.internal"]).permitted_subtrees
    assert permitted == [x509.DNSName("my_host.internal")]


def test_an_old_root_issues_nothing(root: Authority) -> None:
    with pytest.raises(Misconfigured) as caught:
        issue_intermediate(root, HOSTS, NOW + 3649 * DAY)
    assert caught.value.cause == "root-expired"
