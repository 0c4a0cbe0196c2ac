# docker build -t sluice .
# docker run --rm -p 8080:8080 -p 3478:3478/udp -e SLUICE__AUTH__OPEN=true -e SLUICE__MEDIA__ANNOUNCE=ADDRESS sluice
#
# ADDRESS is the IP address under which clients reach this machine. Instead of SLUICE__AUTH__OPEN, which lets
# everybody publish, mount a file with stream keys: -v ./sluice.toml:/etc/sluice/sluice.toml:ro
# tests/docker/run replays these steps where there is no container engine.

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# The caches outlive this layer, so that a change builds only what it touches. Function names stay for backtraces.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin sluice && \
    strip --strip-debug -o /sluice target/release/sluice

FROM debian:bookworm-slim
# A number as well as a name: orchestrators that forbid root can only judge numbers.
# The folder is for a volume, which gets its owner from it: certificates are kept there (tls.acme_folder).
RUN useradd --uid 10001 --no-create-home --home-dir /etc/sluice --shell /usr/sbin/nologin sluice && \
    install -d -o 10001 -m 700 /var/lib/sluice
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/sluice/
COPY --from=build /sluice /usr/local/bin/sluice
# sluice.toml in the working directory is read if it is there.
WORKDIR /etc/sluice
USER 10001:10001
# Loopback inside a container reaches nobody. Publishing it asks for stream keys or SLUICE__AUTH__OPEN=true.
ENV SLUICE__HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080/tcp 3478/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["sluice", "health"]
ENTRYPOINT ["/usr/local/bin/sluice"]
