"""The sandbox as a separate process: `python -m msm.sandbox ROOT WEATHER`, as `start` runs it."""

import sys
from pathlib import Path

from msm.errors import MsmError

if __name__ == "__main__":
    try:
        from msm.sandbox.server.serve import serve

        serve(Path(sys.argv[1]), sys.argv[2], stop_with_stdin=True)
    except MsmError as error:
        sys.exit(str(error))
