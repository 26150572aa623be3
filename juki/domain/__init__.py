"""Domain values and rules; imports nothing outward (no grpc, protobuf, database, PKCS#11)."""
