# docker build -t attribution-explorer . && docker run --rm -p 7860:7860 attribution-explorer
FROM python:3.11-slim-bookworm AS packages

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt constraints.txt ./
# PyTorch's own index has wheels without CUDA, a tenth of the size; a pinned version takes them, as +cpu counts as newer.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --extra-index-url "$TORCH_INDEX" -r requirements.txt -c constraints.txt

FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/home/user/.cache/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    GRADIO_TEMP_DIR=/home/user/.cache/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    ATTRIBUTION_HOST=0.0.0.0 \
    ATTRIBUTION_PORT=7860
COPY --from=packages /opt/venv /opt/venv

# What deploy/files.py lists; a test compares the two.
COPY LICENSE NOTICE app.py constraints.txt requirements.txt ./
COPY checkpoints checkpoints
COPY attribution_core attribution_core
COPY ui ui
RUN python -m compileall -q attribution_core ui

USER 1000
RUN mkdir -p "$HF_HOME" "$GRADIO_TEMP_DIR"
# The indexes that the collection leaves out, which would otherwise be computed at every start of a new container.
RUN python -c "from attribution_core import Collection as C; p = C.open('checkpoints/pocket'); [C.open(p.path, m) for m in p.methods]"

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4).read(1)"]
CMD ["python", "app.py"]
