# CPU:   docker build -t gogooku_kedro .
# CUDA:  docker build -t gogooku_kedro:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
# Run:   docker run --rm -v "$PWD/data:/app/data" gogooku_kedro run          (CUDA: --gpus all)
# It was read by hadolint and by tests, and never built: docs/how_to/install.md.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.lock ./
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN python -m venv /venv \
    && grep '^torch==' requirements.lock > torch.txt \
    && /venv/bin/pip install --index-url "${TORCH_INDEX}" -r torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /venv/bin/pip install -c requirements.lock .

FROM python:${PYTHON}-slim-bookworm
# libgomp1: threads of LightGBM and torch
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 gogooku
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=gogooku pyproject.toml ./
COPY --chown=gogooku conf conf
COPY --chown=gogooku src src
RUN mkdir -p data && chown gogooku data .
USER 1000
ENV PATH=/venv/bin:$PATH KEDRO_DISABLE_TELEMETRY=1
VOLUME /app/data
ENTRYPOINT ["kedro"]
CMD ["run"]
