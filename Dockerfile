# `mien serve` in a container: no root, nothing written, no network needed once it is built.
#
#   docker build -t mien .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -e MIEN_TOKEN="$(python3 -c 'import secrets; print(secrets.token_urlsafe())')" \
#     -p 127.0.0.1:8000:8000 mien

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/mien
ENV PATH=/opt/mien/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN pip install -c constraints.txt '.[serve,video]' \
    && MIEN_HOME=/opt/mien/models mien models pull yunet

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mien
COPY --from=build /opt/mien /opt/mien
ENV PATH=/opt/mien/bin:$PATH \
    MIEN_HOME=/opt/mien/models \
    ORT_DISABLE_TELEMETRY=1 \
    OMP_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# The token comes from the variable MIEN_TOKEN; without one the server refuses to start.
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0", "--port", "8000"]
