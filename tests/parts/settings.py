"""The least that settings need, and what a test adds to it."""

from pathlib import Path

from doorward.settings import Settings, parse_settings

FILE = Path("/etc/doorward/doorward.yaml")
ISSUERS = """\
issuers:
  corp:
    issuer: https://idp.example
    audience: doorward
"""
CONSOLE = """\
console:
  issuer: corp
  client_id: doorward-console
"""


def parsed(text: str = "", start: str = ISSUERS) -> Settings:
    return parse_settings(start + text, FILE)
