# One file for GPU hosts (the registry's torch has CUDA, the NVIDIA runtime brings the driver) and, with TORCH=cpu,
# for all others; docs/deployment.md says how to build it, CONTRIBUTING.md how it is tested.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG TORCH=cuda
# Where torch's CPU build comes from, unless pip is configured with local wheels that have it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras of pyproject.toml, comma-separated: serve, otel (traces), cluster (Ray Serve).
ARG EXTRAS=serve
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/build/deploy/requirements.lock
WORKDIR /build
RUN python -m venv --without-pip /opt/rwae
COPY deploy/requirements.lock deploy/
# The largest and least often changed layer first. torch itself pins its CUDA libraries.
RUN case "$TORCH" in \
        cuda) pip --python /opt/rwae/bin/python install torch ;; \
        cpu) pip --python /opt/rwae/bin/python install --no-deps --no-index torch 2>/dev/null \
            || pip --python /opt/rwae/bin/python install --no-deps --index-url "$TORCH_INDEX" torch ;; \
        *) echo "TORCH is cuda or cpu, not '$TORCH'" >&2; exit 2 ;; \
    esac
# Without source this installs what the project depends on, and no more.
COPY pyproject.toml README.md LICENSE ./
RUN pip --python /opt/rwae/bin/python install ".[$EXTRAS]" \
    && cd /opt/rwae/lib/python3*/site-packages \
    && find . -depth -type d \( -name test -o -name tests \) -exec rm -r {} + \
    && rm -rf torch/include torch/share
# Bytecode is compiled here, as nothing can be written where it runs.
COPY rwae_core /app/rwae_core
COPY rwae_client /app/rwae_client
COPY rwae_client /app/rwae_client
COPY service /app/service
COPY weights /app/weights
RUN /opt/rwae/bin/python -m compileall -q /app && chmod -R a+rX /app /opt/rwae

FROM ${BASE_IMAGE}
ARG REVISION=
LABEL org.opencontainers.image.title="R-WAE" \
      org.opencontainers.image.description="Pulls a clip apart into what it is and what it does, over HTTP" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/rwae /opt/rwae
COPY --from=build /app /app
# KubeRay starts Ray from a login shell, which knows no PATH but the system's.
RUN for name in ray serve; do [ ! -e /opt/rwae/bin/$name ] || ln -s /opt/rwae/bin/$name /usr/local/bin/; done
WORKDIR /app
# Nothing is written but to /tmp, uploads that outgrow memory among it: the root file system may be read-only.
ENV PATH=/opt/rwae/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=service.edge.proxied.at_proxy \
    RAY_USAGE_STATS_ENABLED=0 \
    RWAE_HOST=0.0.0.0 \
    RWAE_PORT=8000 \
    RWAE_WEIGHTS_DIR=/app/weights
USER 10001:10001
EXPOSE 8000
# That it lives, not that it is ready: a full queue is no reason for a swarm to kill it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"RWAE_PORT\"]}/healthz')"]
CMD ["python", "-m", "service"]
