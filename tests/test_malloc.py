import subprocess
import sys

OUTPUT = {"capture_output": True, "text": True, "check": True}
PAGES = """
import resource
import numpy as np
from msm import malloc

{keep}
for _ in range(10):
    np.ones(2**25, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**25, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_was_freed_is_not_asked_of_the_kernel_again():
    # A new process for each: what one keeps it keeps for good.
    faults = [
        int(subprocess.run([sys.executable, "-c", PAGES.format(keep=keep)], **OUTPUT).stdout)
        for keep in ("malloc.keep(2**28)", "")
    ]
    # A page may be of 4 kB or of 2 MB.
    assert 4 * faults[0] < faults[1]
