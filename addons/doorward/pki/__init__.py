"""The certificate authority that agents trust: root, constrained intermediate, reissue."""
