# One image for CPU and GPU hosts: torch comes as the registry gives it, the NVIDIA runtime brings the driver.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
# The largest and least often changed layer first.
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch

COPY pyproject.toml README.md LICENSE ./
COPY rwae_core rwae_core
COPY rwae_client rwae_client
COPY service service
RUN pip install --constraint constraints.txt '.[serve]'
COPY weights weights

RUN useradd --system --uid 10001 --no-create-home rwae
USER rwae
ENV RWAE_HOST=0.0.0.0 RWAE_PORT=8000 RWAE_WEIGHTS_DIR=/app/weights
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"RWAE_PORT\"]}/readyz')"]
CMD ["python", "-m", "service"]
