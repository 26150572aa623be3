"""Custody of keys: the one process of a host that talks to the HSM over PKCS#11."""
