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


def test_freed_memory_is_reused_without_page_faults():
    # A new process for each, because the setting cannot be undone.
    faults = [
        int(subprocess.run([sys.executable, "-c", PAGES.format(keep=keep)], **OUTPUT).stdout)
        for keep in ("malloc.keep(2**28)", "")
    ]
    # The bound holds for pages of 4 kB and of 2 MB.
    assert 4 * faults[0] < faults[1]
