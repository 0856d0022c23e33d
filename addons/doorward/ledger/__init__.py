"""The one writer of the record, and the channels to it."""
