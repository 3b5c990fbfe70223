# syntax=docker/dockerfile:1
# A slim image of the service. Build it with: docker build -t tallyhouse .
# buildah bud needs --format docker: the OCI format has no health check.
FROM rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
RUN apt-get update && apt-get install -y --no-install-recommends libssl-dev pkg-config make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# For --version, where the sources come without git: --build-arg TALLYHOUSE_COMMIT=$(git rev-parse --short=12 HEAD)
ARG TALLYHOUSE_COMMIT=
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p tallyhouse && cp target/release/tallyhouse /tallyhouse

FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
# libssl3 for TLS to Postgres, and the certificates to verify it.
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data tallyhouse && install -d -o tallyhouse /data
COPY --from=build /tallyhouse /usr/local/bin/tallyhouse
USER tallyhouse
WORKDIR /data
VOLUME /data
# A container must listen beyond loopback. The published port decides who can reach it.
ENV TALLYHOUSE_LISTEN=0.0.0.0:8080 TALLYHOUSE_AUTH__ANONYMOUS=true
EXPOSE 8080
# The service finishes accepted work within 30 s of this.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["tallyhouse", "health"]
ENTRYPOINT ["tallyhouse"]
CMD ["serve"]
