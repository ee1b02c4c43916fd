"""The sandbox as a process of its own: `python -m msm.sandbox ROOT WEATHER`, as `start` runs it."""

import sys
from pathlib import Path

from msm.errors import MsmError
from msm.sandbox.server.serve import serve

if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), sys.argv[2], stop_with_stdin=True)
    except MsmError as error:
        sys.exit(str(error))
