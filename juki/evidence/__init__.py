"""Evidence that outlives keys and algorithms: chains, trees, time stamps, renewal, proofs."""
