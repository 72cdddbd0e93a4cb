# syntax=docker/dockerfile:1
# The page and its server. Stages: build everything, then copy two things into a small image.
#     docker build -t sam2 . && docker run --rm -p 8080:8080 --read-only sam2

# ---- build: the page (wasm, optimised and precompressed) and the `sam2` binary
FROM docker.io/library/rust:1.95-bookworm AS build

# Node and npm, for brotli, gzip and wasm-opt (Debian 12's own is too old).
COPY --from=docker.io/library/node:22-bookworm-slim /usr/local/bin/node /usr/local/bin/node
COPY --from=docker.io/library/node:22-bookworm-slim /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
RUN rustup target add wasm32-unknown-unknown

WORKDIR /src
COPY . .
# Fails here when Cargo.lock does not fit, instead of taking other versions.
RUN cargo fetch --locked
# The cache mount keeps Burn between builds; what is needed later is copied out of it.
RUN --mount=type=cache,target=/target,sharing=locked \
    CARGO_TARGET_DIR=/target cargo xtask package \
    && CARGO_TARGET_DIR=/target cargo build --locked --release --package sam2-cli \
    && install -D /target/release/sam2 /out/sam2 \
    && cp -a web/dist /out/page

# ---- run: no compiler, no shell tools beyond the base, no root
FROM docker.io/library/debian:bookworm-slim AS run

# ca-certificates: `sam2 models fetch` speaks HTTPS. ffmpeg: reads the videos of `sam2 track` and of the session API.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sam2 \
    && install -d -o sam2 -g sam2 /models

COPY --from=build /out/sam2 /usr/local/bin/sam2
COPY --from=build /out/page /srv/sam2
COPY LICENSE-APACHE LICENSE-MIT NOTICE /usr/share/doc/sam2/

# All addresses of the container; who can reach it is decided by what is published.
ENV SAM2_HOST=0.0.0.0 \
    SAM2_PORT=8080 \
    SAM2_MODELS_DIR=/models

USER 10001:10001
EXPOSE 8080
VOLUME ["/models"]

# bash opens the connection itself, so the image needs no HTTP client.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${SAM2_PORT} && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]

# Running downloads get up to 30 s to finish after SIGTERM: stop with `docker stop --time 35`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sam2"]
CMD ["serve", "--web", "/srv/sam2"]
