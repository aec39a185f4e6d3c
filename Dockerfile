# One image, three apps by command:
#   docker run billing                               the HTTP app, on port 8000
#   docker run billing python -m billing_worker      the worker (--no-healthcheck: it serves no HTTP)
#   docker run billing billing db upgrade            the command line
# Postgres, Redis and NATS are elsewhere; the embedded development servers are not in the image. It needs no shell, no
# capability, no home, and nothing it could write to: docs/operations.md, "The image".

# The digest of the official image of Python 3.13.15 on Debian 13, as published in September 2026. Renew it with every
# release: `docker buildx imagetools inspect python:3.13-slim-trixie` tells today's.
ARG PYTHON_IMAGE=python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements-uv.lock requirements-image.lock LICENSE ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes -r requirements-uv.lock
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
RUN uv venv /opt/billing && uv pip sync --python /opt/billing --require-hashes requirements-image.lock
COPY packages packages
COPY apps apps
# Offline: uv builds our packages itself, so nothing more is fetched, and nothing without a hash.
RUN uv pip install --python /opt/billing --offline --no-deps \
      ./packages/billing-core ./packages/billing-adapters ./apps/http ./apps/worker ./apps/cli

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="billing" \
      org.opencontainers.image.description="When trials start and end, and when paid credits are the merchant's." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed here any more.
RUN ["python", "-m", "pip", "uninstall", "--quiet", "--yes", "--root-user-action=ignore", "pip"]
COPY --from=build /opt/billing /opt/billing
ENV PATH=/opt/billing/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 \
    BILLING_ENV=production BILLING_HOST=0.0.0.0 BILLING_PORT=8000
# A number, so that an orchestrator can see that it is not root; it owns no file.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['BILLING_PORT']), timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "billing_http"]
