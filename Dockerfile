# docker build -t attribution-explorer . && docker run --rm -p 7860:7860 attribution-explorer
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
RUN chown user:user /home/user/app
USER user

ENV PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    HF_HOME=/home/user/.cache/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    GRADIO_TEMP_DIR=/home/user/.cache/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    ATTRIBUTION_HOST=0.0.0.0 \
    ATTRIBUTION_PORT=7860
RUN mkdir -p "$HF_HOME" "$GRADIO_TEMP_DIR"

COPY --chown=user requirements.txt constraints.txt ./
RUN pip install --user -r requirements.txt -c constraints.txt
COPY --chown=user . .

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4).read(1)"]
CMD ["python", "app.py"]
