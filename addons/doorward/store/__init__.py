"""Rows and transactions: plain values in, model values out."""
