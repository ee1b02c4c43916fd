"""The server of the sandbox; it needs the packages of the extra `msm[sandbox]`."""

from importlib.util import find_spec

from msm.errors import MsmError

for _package in ("aiohttp", "multidict", "trustme"):
    if find_spec(_package) is None:
        raise MsmError(
            f"The sandbox needs {_package}, which is not installed: pip install 'msm[sandbox]'."
        )
