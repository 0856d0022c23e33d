"""What `scripts/bench` measures: doorward beside others, in turn, in one run."""
