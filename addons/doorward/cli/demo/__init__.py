"""The demo: a provider, a real target, a whole doorward, and a story played on it."""

from doorward.cli.demo.command import demo

__all__ = ["demo"]
