"""The address of a client, also behind a proxy."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

# Whoever has one IPv6 address usually has this whole network.
_IPV6_PREFIX_LENGTH = 64


def get_client_address(request: HttpRequest) -> str:
    """Return the client's IPv4 address, or the network of its IPv6 address.

    X-Forwarded-For counts only with TRUST_PROXY, and of it only the last address, which the proxy itself
    wrote: the client may have sent the others.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    if settings.TRUST_PROXY:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return _normalize(forwarded) or _normalize(peer)
    return _normalize(peer)


def _normalize(text: str) -> str:
    """Return "" for what is no address, as for the peer of a Unix socket."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    network = int(address) >> (128 - _IPV6_PREFIX_LENGTH) << (128 - _IPV6_PREFIX_LENGTH)
    return f"{IPv6Address(network)}/{_IPV6_PREFIX_LENGTH}"
