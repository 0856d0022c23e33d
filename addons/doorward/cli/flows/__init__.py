"""`flows`: what agents asked for and what they got, listed, shown, exported and done again."""

from doorward.cli.flows.group import flows

__all__ = ["flows"]
