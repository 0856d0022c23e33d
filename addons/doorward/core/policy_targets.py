"""Reads `targets:` of a policy file: where a target is, and how an agent may ask for it.

Names are kept in one spelling (lower case, ASCII, no dot at the end, addresses as `ipaddress`
writes them), since the gateway compares them as they stand. A secret never goes in clear off
loopback: that is refused here, before anything is dialled. Names are not resolved and files are
not opened. Called by `core.policy_file`.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Literal

from doorward.core.policy_fields import checked_name, fields_of, flag, items, name, not_supported, one_of, text
from doorward.core.policy_yaml import Fields, Node, Scalar
from doorward.errors import Misconfigured
from doorward.model import Target

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\[\]/?#@]+\]|[^\[\]:/?#@]+)(?::(?P<port>[0-9]{1,5}))?")
_HOST = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"0x[0-9a-f]*|[0-9]+")
_LATER_KINDS = {"kubernetes": "targets of kind kubernetes are", "tunnel": "targets of kind tunnel are"}
_HTTPS, _HTTP = 443, 80


def read_target(key: str, where: str, node: Node, credentials: Collection[str]) -> Target:
    """Read one target; raises Misconfigured."""
    what = f"target {checked_name(key, where, 'the name of a target')}"
    _refuse_later_kinds(node)
    fields = fields_of(
        node,
        what,
        required=("kind", "url", "hosts"),
        optional=("ca", "credential", "plaintext", "cookies", "encoded_slash", "repeated_query", "record"),
    )
    one_of(fields["kind"], "kind of target", ["http"])
    scheme, host, port = _read_url(fields["url"])
    target = Target(
        name=key,
        scheme=scheme,
        host=host,
        port=port,
        hosts=_read_hosts(fields["hosts"], scheme),
        ca=text(fields["ca"], "ca") if "ca" in fields else None,
        credential=name(fields["credential"], "credential") if "credential" in fields else None,
        plaintext="plaintext" in fields and flag(fields["plaintext"], "plaintext"),
        cookies=_says(fields, "cookies", "pass"),
        encoded_slash=_says(fields, "encoded_slash", "allow"),
        repeated_query=_says(fields, "repeated_query", "allow"),
        record_bodies=not _says(fields, "record", "headers"),
    )
    if target.credential is not None and target.credential not in credentials:
        raise Misconfigured(
            f"unknown credential {target.credential!r}",
            where=fields["credential"].where,
            hint=f"known: {', '.join(sorted(credentials)) or 'none'}; see `credentials:` in the settings",
        )
    _refuse_clear_text(target, fields)
    return target


def _refuse_later_kinds(node: Node) -> None:
    kind = node.fields.get("kind") if isinstance(node, Fields) else None
    if isinstance(kind, Scalar) and kind.text in _LATER_KINDS:
        raise not_supported(kind.where, _LATER_KINDS[kind.text])


def _says(fields: Mapping[str, Node], key: str, word: str) -> bool:
    return key in fields and one_of(fields[key], f"value of {key}", [word]) == word


def _read_url(node: Node) -> tuple[Literal["http", "https"], str, int]:
    found = _URL.fullmatch(text(node, "url"))
    if found is None:  # the text is not quoted: a password might stand in it
        raise Misconfigured(
            "url is not a plain http or https URL",
            where=node.where,
            hint="scheme, host and port alone: no path, no user",
        )
    scheme: Literal["http", "https"] = "https" if found["scheme"] == "https" else "http"
    return scheme, _checked_host(found["host"], node.where), _checked_port(found["port"], scheme, node.where)


def _read_hosts(node: Node, scheme: str) -> tuple[tuple[str, int], ...]:
    """Names and ports; a bare name means the port of each scheme by which an agent may ask for it.

    That is 443 where the target itself speaks https, and 443 or 80 where it speaks http only.
    """
    hosts: list[tuple[str, int]] = []
    for item in items(node, "hosts"):
        found = _HOST.fullmatch(text(item, "host"))
        if found is None:
            raise Misconfigured(
                "a host is neither NAME nor NAME:PORT", where=item.where, hint="write crm.internal or crm.internal:8443"
            )
        host = _checked_host(found["host"], item.where)
        if found["port"]:
            ports = [_checked_port(found["port"], scheme, item.where)]
        else:
            ports = [_HTTPS] if scheme == "https" else [_HTTPS, _HTTP]
        for port in ports:
            if (host, port) in hosts:
                raise Misconfigured(f"{host}:{port} is listed twice", where=item.where, hint="keep one")
            hosts.append((host, port))
    return tuple(hosts)


def _checked_port(written: str | None, scheme: str, where: str) -> int:
    port = int(written) if written else (_HTTPS if scheme == "https" else _HTTP)
    if not 1 <= port <= 65535:
        raise Misconfigured(f"{port} is no port", where=where, hint="1 to 65535")
    return port


def _checked_host(written: str, where: str) -> str:
    host = written.lower()
    if host.startswith("["):
        return _checked_address(host[1:-1], where)
    if not host.isascii():
        raise Misconfigured(
            "a host name is not ASCII", where=where, hint="write its ASCII form, which begins with xn--"
        )
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):  # a resolver would take it for an address, whatever the other labels are
        return _checked_address(host, where)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Misconfigured(
            "a host name is malformed", where=where, hint="labels of letters, digits and -, no dot at the end"
        )
    return host


def _checked_address(written: str, where: str) -> str:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        raise Misconfigured(
            "an address is malformed", where=where, hint="four decimal numbers, or IPv6 in brackets"
        ) from None
    mapped = isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id)
    if mapped or address.is_link_local or address.is_unspecified or address.is_multicast:
        raise Misconfigured(
            "this address is never dialled",
            where=where,
            hint="no link-local, metadata, mapped, scoped or multicast addresses",
        )
    return str(address)


def is_loopback(host: str) -> bool:
    """Whether a checked host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_clear_text(target: Target, fields: Mapping[str, Node]) -> None:
    if target.scheme == "https":
        if target.plaintext:
            raise Misconfigured(
                "plaintext means nothing for an https URL", where=fields["plaintext"].where, hint="leave it out"
            )
        return
    if target.ca is not None:
        raise Misconfigured(
            "ca means nothing for an http URL", where=fields["ca"].where, hint="leave it out, or use https"
        )
    if is_loopback(target.host):
        return
    if target.credential is not None:
        raise Misconfigured(
            "a credential would travel in clear",
            where=fields["credential"].where,
            hint="use an https URL, or leave the credential out",
        )
    if not target.plaintext:
        raise Misconfigured(
            "the URL is clear http off loopback",
            where=fields["url"].where,
            hint="use https, or accept it by `plaintext: true`",
        )
