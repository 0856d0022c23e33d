"""Where the targets' secrets come from."""
