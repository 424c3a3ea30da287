#!/bin/bash
# The role that backups are made with: just what is needed. Run once, by the image of PostgreSQL, when the cluster is new.
set -euo pipefail

# psql would take what it cannot read for an empty password, and make a role that nobody can be.
password=/run/secrets-of-postgres/holdfast
[ -r "$password" ] && [ -s "$password" ] || {
  echo "$password cannot be read by $(id -un) ($(id -u)): was it made for another account? see make-secrets.sh" >&2
  exit 1
}

# The password is read by psql itself: it is in no argument that others could see.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat /run/secrets-of-postgres/holdfast`
create role holdfast login replication password :'password';
grant pg_read_all_settings to holdfast;
grant execute on function
  pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean),
  pg_catalog.pg_ls_dir(text, boolean, boolean),
  pg_catalog.pg_stat_file(text, boolean),
  pg_catalog.pg_backup_start(text, boolean),
  pg_catalog.pg_backup_stop(boolean),
  pg_catalog.pg_switch_wal()
to holdfast;
SQL

echo "host replication holdfast all scram-sha-256" >>"$PGDATA/pg_hba.conf"
