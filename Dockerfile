# syntax=docker/dockerfile:1
# A slim image of the service. Build it with: docker build -t tallyhouse .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libssl-dev pkg-config make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p tallyhouse && cp target/release/tallyhouse /tallyhouse

FROM debian:bookworm-slim
# libssl3 for TLS to Postgres, the certificates to check it by, curl for the health check.
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data tallyhouse && install -d -o tallyhouse /data
COPY --from=build /tallyhouse /usr/local/bin/tallyhouse
USER tallyhouse
WORKDIR /data
VOLUME /data
# A container's own address is no loopback address: who may reach it is decided by what the port is published to.
ENV TALLYHOUSE_LISTEN=0.0.0.0:8080 TALLYHOUSE_AUTH__ANONYMOUS=true
EXPOSE 8080
# The service finishes what it accepted within 30 s of this.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["tallyhouse"]
CMD ["serve"]
