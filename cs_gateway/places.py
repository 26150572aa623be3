"""Names the place of each sealed value, so that none opens anywhere else."""

from __future__ import annotations


def resident_information(record_key: bytes) -> bytes:
    """Place of `resident.information`."""
    return b"resident.information|" + record_key.hex().encode() + b"|1"


def outbox_envelope(epoch: int, sequence: int) -> bytes:
    """Place of `outbox.envelope`."""
    return f"outbox.envelope|{epoch}|{sequence}|1".encode()


def pooled_code(code_key: bytes) -> bytes:
    """Place of `code_pool.code`."""
    return b"code_pool.code|" + code_key.hex().encode() + b"|1"


def quarantined_line(file_id: int, line_number: int) -> bytes:
    """Place of `quarantined_line.line`."""
    return f"quarantined_line.line|{file_id}|{line_number}|1".encode()
