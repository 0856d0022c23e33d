"""The control plane: mitmweb over masked copies, behind OIDC login."""
