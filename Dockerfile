# One image, three apps by command:
#   docker run billing                               the HTTP app, on port 8000
#   docker run billing python -m billing_worker      the worker
#   docker run billing billing db upgrade            the command line
# Postgres, Redis and NATS are elsewhere; the embedded development servers are not in the image.
FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir "uv>=0.13,<1"
WORKDIR /src
COPY requirements.lock LICENSE ./
COPY packages packages
COPY apps apps
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN uv venv /opt/billing \
 && uv pip install --python /opt/billing -c requirements.lock \
      ./packages/billing-core ./packages/billing-adapters ./apps/http ./apps/worker ./apps/cli

FROM python:3.13-slim-bookworm
COPY --from=build /opt/billing /opt/billing
ENV PATH=/opt/billing/bin:$PATH PYTHONUNBUFFERED=1 \
    BILLING_ENV=production BILLING_HOST=0.0.0.0 BILLING_PORT=8000
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin billing
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["python", "-m", "billing_http"]
