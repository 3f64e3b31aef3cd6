# The app and the REST API of likeness, as a user without rights.
#   docker build -t likeness .
#   docker run --rm --read-only --cap-drop ALL -p 127.0.0.1:8080:8080 likeness
FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/likeness
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/likeness/bin/pip install --no-cache-dir ".[serve]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin likeness
COPY --from=build /opt/likeness /opt/likeness
USER 10001:10001
ENV PATH=/opt/likeness/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v1', timeout=4)"]
# Within the container all addresses; which of them others reach is said by -p.
ENTRYPOINT ["likeness", "serve", "--host", "0.0.0.0", "--port", "8080"]
