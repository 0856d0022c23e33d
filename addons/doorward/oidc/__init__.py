"""OpenID Connect: discovery, key snapshots, verification of tokens, the console's login."""
