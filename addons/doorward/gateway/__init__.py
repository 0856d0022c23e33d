"""The data plane: thin mitmproxy addons, a verb a file."""
