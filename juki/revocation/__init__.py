"""Certificate revocation lists: verified, kept, passed on, and asked before anyone is served."""
