"""doorward: an access gateway for AI agents, built on mitmproxy."""

__version__ = "0.1.0"
