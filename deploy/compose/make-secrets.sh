#!/bin/sh
# Makes what is missing of the passwords, and gives every folder to the account that reads it. Run by the service 'secrets' of docker-compose.yml, as root, before all others.
set -eu
umask 077

random() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }

# make FILE CONTENT: whole or not at all, and never a second time.
make() {
  [ -s "$1" ] && return 0
  printf '%s\n' "$2" >"$1.new"
  mv "$1.new" "$1"
}

# give UID FOLDER
give() { chown -R "$1:$1" "$2" && chmod 0700 "$2"; }

make /secrets/postgres/superuser "$(random)"
make /secrets/postgres/holdfast "$(random)"
make /secrets/holdfast/source.url "postgres://holdfast:$(cat /secrets/postgres/holdfast)@postgres:5432/postgres"
make /secrets/grafana/password "$(random)"
make /secrets/s3/user holdfast
make /secrets/s3/password "$(random)"

# The accounts of the images: postgres, holdfast, grafana, and root for S3. The passphrase of the repository is made by 'holdfast init'.
give 999 /secrets/postgres
give 10001 /secrets/holdfast
give 472 /secrets/grafana
give 0 /secrets/s3
give 10001 /srv/holdfast
