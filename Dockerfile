# Holdfast with the PostgreSQL that drills and restores start. One major version an image: the server must be of the source's.
#
#   docker build -t holdfast .
#   docker run --read-only --tmpfs /tmp -v holdfast-state:/var/lib/holdfast -v /srv/holdfast:/srv/holdfast -v ./deploy:/etc/holdfast:ro holdfast
#
# Configuration is read from /etc/holdfast/holdfast.yaml, state and scratch folders lie in /var/lib/holdfast, secrets come as files
# (file:/run/secrets/…). Nothing else is written, so the root can be read-only.
ARG BASE=node:24-trixie-slim

FROM ${BASE} AS modules
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image has Node and PostgreSQL already: those that npm brings for bare machines stay out.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm -rf node_modules/node-linux-* node_modules/pg17-*

FROM ${BASE}
# Debian 13 has PostgreSQL 17. Without the first line, installing it would create a cluster that nobody wants.
RUN mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-17 postgresql-client-17 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --home-dir /var/lib/holdfast --no-create-home --shell /usr/sbin/nologin holdfast \
 # Any other account may be given instead (--user, runAsUser), as long as its group is root's, as OpenShift does: it finds its folders writable.
 && install -d -o holdfast -g root -m 0770 /var/lib/holdfast /srv/holdfast /run/holdfast
WORKDIR /app
COPY --from=modules /app/node_modules node_modules
COPY package.json LICENSE ./
COPY src src
COPY jobs jobs
COPY policies policies
COPY scripts/holdfast.mjs scripts/
RUN ln -s /app/scripts/holdfast.mjs /usr/local/bin/holdfast

ENV NODE_ENV=production HOME=/var/lib/holdfast
USER 10001:10001
WORKDIR /var/lib/holdfast
VOLUME ["/var/lib/holdfast"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8420/readyz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["holdfast"]
CMD ["serve"]
