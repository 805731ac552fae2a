# The default image is the node, for a PostgreSQL elsewhere. `--target embedded` adds a private one.

FROM rust:1.91-slim-bookworm AS build
# jemalloc is built by make.
RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY src src
# cargo wants to see the files of all targets that Cargo.toml names.
COPY benches benches
COPY examples examples
COPY tests/main.rs tests/main.rs
RUN cargo build --release --locked --bin wampgres

# The page's library, which is not committed.
FROM node:22-bookworm-slim AS page
WORKDIR /page
COPY tests/clients/package.json tests/clients/package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund

FROM debian:bookworm-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 999 --user-group --home-dir /var/lib/wampgres \
        --shell /usr/sbin/nologin wampgres \
    && install -d -o wampgres -g wampgres -m 0700 /var/lib/wampgres
COPY --from=build /build/target/release/wampgres /usr/bin/wampgres
COPY web /usr/share/wampgres/web
COPY --from=page /page/node_modules/autobahn-browser/autobahn.min.js /usr/share/wampgres/web/shared/
COPY packaging/docker/config.json /etc/wampgres/config.json
COPY packaging/docker/healthcheck /usr/libexec/wampgres-healthcheck
USER wampgres
WORKDIR /var/lib/wampgres
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/libexec/wampgres-healthcheck"]
# The node is no init: what PostgreSQL leaves behind when it crashes is reaped by tini.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/bin/wampgres"]

FROM base AS embedded
USER root
RUN install -d /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/wampgres.conf \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/*
USER wampgres
VOLUME /var/lib/wampgres
CMD ["start", "--config", "/etc/wampgres/config.json", "--embedded-postgres", "/var/lib/wampgres/postgres"]

FROM base AS node
CMD ["start", "--config", "/etc/wampgres/config.json"]
