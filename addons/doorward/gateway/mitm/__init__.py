"""The one place of the data plane that touches mitmproxy's internals: HTTP layers and TLS contexts."""
