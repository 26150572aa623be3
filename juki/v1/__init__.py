"""Generated protobuf and gRPC code of juki.v1; made by `make proto`."""
