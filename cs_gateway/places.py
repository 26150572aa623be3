"""Names the place of each sealed value, so that none opens anywhere else.

A place is all the rest of its row: what stands beside a sealed value cannot be altered either.
"""

from __future__ import annotations


def resident_information(
    record_key: bytes, code_key: bytes, state: int, last_digest: bytes, number_pending: bool
) -> bytes:
    """Place of `resident.information`.

    The digest of the person's last notification, which wrote the row, is its version.
    """
    parts = (record_key.hex(), code_key.hex(), state, last_digest.hex(), int(number_pending))
    return "resident.information|{}|{}|{}|{}|{}".format(*parts).encode()


def outbox_envelope(epoch: int, sequence: int, digest: bytes, issued_at: int) -> bytes:
    """Place of `outbox.envelope`, written once."""
    return f"outbox.envelope|{epoch}|{sequence}|{digest.hex()}|{issued_at}".encode()


def pooled_code(code_key: bytes, allotted_at: int) -> bytes:
    """Place of `code_pool.code`, written once."""
    return f"code_pool.code|{code_key.hex()}|{allotted_at}".encode()


def quarantined_line(file_id: int, line_number: int) -> bytes:
    """Place of `quarantined_line.line`, written once."""
    return f"quarantined_line.line|{file_id}|{line_number}".encode()
