"""What a server imports to use the keys of its host: port, client, TLS, verification."""
