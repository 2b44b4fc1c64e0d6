# syntax=docker/dockerfile:1
# Every command of the orchestrator, run as a user that may write nothing but its state folder. The root file system may be read-only.

FROM python:3.12-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/orchestrator \
    UV_PYTHON_DOWNLOADS=never
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /src
# The libraries first: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra otel --group compile --no-install-project
COPY README.md LICENSE ./
COPY orchestrator ./orchestrator
COPY deploy/compile.py ./deploy/compile.py
RUN /opt/orchestrator/bin/python deploy/compile.py
COPY topologies ./topologies
COPY schemas ./schemas
# Without what only compiling needed. No .gitignore is here, so what was compiled comes along.
RUN uv sync --frozen --no-dev --extra otel --no-editable \
    && /opt/orchestrator/bin/python -P -c 'from orchestrator import compiled; assert compiled.is_used()'

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="journey-orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 journeys \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin journeys \
    && mkdir -p /var/lib/journeys /etc/journeys \
    && chown 10001:10001 /var/lib/journeys
COPY --from=build /opt/orchestrator /opt/orchestrator
COPY topologies /etc/journeys/topologies
COPY schemas /etc/journeys/schemas
ENV PATH=/opt/orchestrator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORCHESTRATOR_TOPOLOGIES=/etc/journeys/topologies \
    ORCHESTRATOR_STATE_DIR=/var/lib/journeys
USER 10001:10001
WORKDIR /var/lib/journeys
VOLUME /var/lib/journeys
ENTRYPOINT ["orchestrator"]
CMD ["worker"]
