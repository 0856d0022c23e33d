"""The tables of segments and index, step by step, as sets of sqlite-utils migrations."""
