"""The tamper-evident record of every call: durable before the answer, verifiable afterwards."""
