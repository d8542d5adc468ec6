# A stage: PostgreSQL with lrs_extract. The Debian package is made in one image
# and installed in the other, which has neither Rust nor a compiler.
#
#   docker build -t lrs_extract .                          PostgreSQL 16
#   docker build -t lrs_extract --build-arg PG_MAJOR=17 .
#
# Tags name the major version and the Debian release; minor releases come with the
# next build. Both images have to be of one Debian, or the library may want a later
# glibc than the stage has.
ARG PG_MAJOR=16

FROM rust:1.95-slim-bookworm AS rust

# From the image of the server, so that the headers are the server's own.
FROM postgres:${PG_MAJOR}-bookworm AS build
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
# PGDG keeps the last minor releases only: a pinned version could not be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates dpkg-dev gcc libc6-dev libclang-dev libssl-dev \
        make pkg-config sudo "postgresql-server-dev-$PG_MAJOR" \
    && rm -rf /var/lib/apt/lists/* \
    # pgrx formats the bindings that it makes of the server's headers; the image has no rustfmt.
    && rustup component add rustfmt
WORKDIR /lrs_extract
# cargo-pgrx takes long to build: apart from the sources, it is built once.
COPY tests/tools/install.sh tests/tools/
RUN tests/tools/install.sh --tools
COPY . .
RUN packaging/package.sh "/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"

FROM postgres:${PG_MAJOR}-bookworm
RUN --mount=type=bind,from=build,source=/lrs_extract/target/packages,target=/packages \
    dpkg --install /packages/*.deb
# postgres: the image's entry point runs as this user as well as by way of root.
USER 999
HEALTHCHECK --interval=5s --start-period=30s CMD ["pg_isready", "--quiet", "--host=127.0.0.1"]
