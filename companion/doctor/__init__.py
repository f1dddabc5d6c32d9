"""Is everything here that a run needs: one finding a line, and what to do about it.

``findings`` says what one is; ``software``, ``kernels``, ``machine`` and ``data`` look.
"""

from companion.doctor.data import data_findings
from companion.doctor.findings import Finding, Status, examine
from companion.doctor.kernels import Deviation, kernel_findings, self_test
from companion.doctor.machine import machine_findings
from companion.doctor.software import software_findings

__all__ = [
    "Deviation",
    "Finding",
    "Status",
    "data_findings",
    "examine",
    "kernel_findings",
    "machine_findings",
    "self_test",
    "software_findings",
]
