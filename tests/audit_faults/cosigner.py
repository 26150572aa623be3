"""A process that co-signs a growing log and tells what it handed out.

python -m tests.audit_faults.cosigner DIRECTORY FIRST LAST DESCRIPTOR
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from juki.audit.witness.records import HISTORY_SECONDS, WitnessRecords
from juki.domain.errors import JukiError
from tests.witnessed_logs import LOG, KeyInMemory, Log, leaves, witness_with


def main(directory: str, first: str, last: str, descriptor: str) -> None:
    """Has checkpoints of the sizes from `first` to `last` co-signed, a history entry each."""
    with socket.socket(fileno=int(descriptor)) as teller:

        def tell(*words: object) -> None:
            teller.sendall((" ".join(map(str, words)) + "\n").encode())

        log, cosigner = Log(leaves(int(last))), KeyInMemory()
        try:
            one = witness_with(WitnessRecords(Path(directory)), cosigner)
            tell("opened")
            for size in range(int(first), int(last) + 1):
                cosigner.seconds += HISTORY_SECONDS
                try:
                    one.cosign(LOG, log.offer(one.witnessed_size(LOG), size))
                except JukiError as refused:
                    tell("refused", size, refused.reason.value)
                else:
                    tell("cosigned", size)
        except JukiError as refused:
            tell("unopened", refused.reason.value)
        tell("ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
