"""Recorded flows for mitmproxy's own tools: its files, and a proxy that answers from the record. Dials nobody."""
