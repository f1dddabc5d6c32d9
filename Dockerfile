# The environment of the lock, the book's browser and the checkout, for any machine with a container engine:
#   docker build -t psl-companion .
#   docker run --rm -it psl-companion make test
# PyTorch's small CPU build: --build-arg PIP_EXTRA_INDEX_URL=<address from pytorch.org>, as README.md says.
FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends chromium git make && rm -rf /var/lib/apt/lists/*
WORKDIR /psl
ARG PIP_EXTRA_INDEX_URL
COPY . .
RUN make install
# The commit in the footer: the files belong to whoever built the image.
RUN git config --global --add safe.directory /psl
ENV PATH="/psl/.venv/bin:$PATH"
CMD ["psl", "doctor"]
