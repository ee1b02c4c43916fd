# The image holds the repository at /opt/msm with its virtual environment, set up by the commands of
# `make venv` less the development tools. One image serves the CPU and, with the NVIDIA container
# toolkit, the GPU: torch brings its own CUDA libraries.
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/msm
RUN python3.11 -m venv .venv
# The dependency layer changes only with the lock file.
COPY requirements.lock ./
RUN .venv/bin/python -m pip install -r requirements.lock
COPY . .
RUN .venv/bin/python -m pip install --no-deps -e .

FROM python:3.11-slim-bookworm
ENV HDF5_USE_FILE_LOCKING=FALSE \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PATH=/opt/msm/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 msm && install -d -o msm -g msm /data /data/archive
COPY --from=build /opt/msm /opt/msm
USER 1000
# The archive, the states and the granules lie here; /opt/msm is read-only for the user.
VOLUME /data
WORKDIR /data
RUN python -V && msm --help
ENTRYPOINT ["msm"]
CMD ["--help"]
