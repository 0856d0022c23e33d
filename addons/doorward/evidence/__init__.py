"""Pure proofs on bytes."""
