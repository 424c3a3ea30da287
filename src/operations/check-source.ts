import type pg from "pg";
import { formatLsn, parseLsn } from "../domain/lsn.ts";
import { HoldfastError } from "../errors.ts";
import type { ClusterSource, SourceConfig } from "../policy/types.ts";
import { connect, queryRow, queryRows, text } from "../postgres/connection.ts";
import { neededFunctions } from "../postgres/grants.ts";
import { majorOf, readIdentity } from "../postgres/server-identity.ts";
import type { ServerIdentity } from "../postgres/server-identity.ts";
import { openWalReceiver } from "../postgres/wal-receiver.ts";
import { SUPPORTED_MAJORS } from "./cluster-state.ts";
import { ok } from "./check-item.ts";
import type { CheckItem } from "./check-item.ts";
import { checkDumping } from "./check-dumping.ts";
import { checkTree } from "./check-tree.ts";
import { checkSynchronous } from "./check-synchronous.ts";
import { CopyView } from "./copy-view.ts";
import { repositoriesOf } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { slotName } from "./source-target.ts";
import { slotStatus } from "../postgres/replication-slot.ts";
import type { SourceTarget } from "./source-target.ts";

/** Everything that can be found out before a backup fails for it. Changes nothing. */
export async function checkSource(installation: Installation, source: SourceConfig): Promise<CheckItem[]> {
  const items: CheckItem[] = [];
  for (const name of repositoriesOf(source)) items.push(await checkRepository(installation, name));
  switch (source.kind) {
    case "postgres":
      return checkCluster(installation, source, items);
    case "postgres-logical":
      return [...items, ...(await checkDumping(installation, source))];
    case "files":
      return [...items, await checkTree(source)];
  }
}

async function checkCluster(installation: Installation, source: ClusterSource, items: CheckItem[]): Promise<CheckItem[]> {
  const target = await attempt("connection", items, () => installation.target(source));
  if (target === null) return items;
  const identity = await attempt("connection", items, async () => {
    await using connection = await connect(target, { purpose: "check" });
    const found = await readIdentity(connection.client);
    const major = majorOf(found.version);
    if (major < SUPPORTED_MAJORS.first || major > SUPPORTED_MAJORS.last) throw new HoldfastError("HF-SERVER", `PostgreSQL ${major} is not supported`);
    items.push(
      ok(
        "connection",
        `PostgreSQL ${found.version / 10_000 >= 10 ? `${major}.${found.version % 10_000}` : major}, cluster ${found.systemIdentifier}, timeline ${found.timeline}${found.inRecovery ? ", a standby" : ""}`,
      ),
    );
    items.push(await checkPrivileges(connection.client, major), ...(await checkSettings(connection.client, source)), await checkClock(connection.client, installation));
    return found;
  });
  if (identity === null) return items;
  items.push(await checkStreaming(target, source), ...(await checkSynchronous(target)), ...(await checkArchive(installation, source, identity)));
  return items;
}

/** The result, or null with the reason among the items. */
async function attempt<T>(name: string, items: CheckItem[], act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    items.push({ name, outcome: "fail", detail: error.message, hint: error.hint });
    return null;
  }
}

async function checkRepository(installation: Installation, name: string): Promise<CheckItem> {
  try {
    const repository = await installation.repository(name);
    const free = await repository.store.freeBytes();
    const detail = `${repository.store.url} opens with its key${free === null ? "" : `, ${(free / 2 ** 30).toFixed(1)} GiB free`}`;
    if (installation.inventory.repositories.get(name)?.passphrase === null)
      return ok(`repository ${name}`, `${repository.store.url} is written to with its recipient; nothing is opened here, and restores and drills are for a host with a key`);
    return repository.keyRing.canOpenData
      ? ok(`repository ${name}`, detail)
      : {
          name: `repository ${name}`,
          outcome: "warning",
          detail: "opened without its passphrase: backups can be made, and nothing restored from here",
          hint: "set the passphrase to restore, verify and drill",
        };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { name: `repository ${name}`, outcome: "fail", detail: error.message, hint: error.hint };
  }
}

async function checkPrivileges(client: pg.Client, major: number): Promise<CheckItem> {
  const missing: string[] = [];
  for (const signature of neededFunctions(major)) {
    const row = await queryRow(client, "select has_function_privilege($1, 'execute')::text as granted", [`pg_catalog.${signature}`]);
    if (text(row, "granted") !== "true") missing.push(signature);
  }
  const role = await queryRow(
    client,
    "select (rolreplication or rolsuper)::text as streams, pg_has_role('pg_read_all_settings', 'usage')::text as settings from pg_roles where rolname = current_user",
  );
  if (role["streams"] !== "true") missing.push("REPLICATION");
  if (role["settings"] !== "true") missing.push("pg_read_all_settings");
  return missing.length === 0
    ? ok("privileges", "all that are needed")
    : { name: "privileges", outcome: "fail", detail: `missing: ${missing.join(", ")}`, hint: "run the SQL below as a superuser" };
}

async function checkSettings(client: pg.Client, source: SourceConfig): Promise<CheckItem[]> {
  const names = ["wal_level", "full_page_writes", "fsync", "data_checksums", "max_slot_wal_keep_size"];
  const rows = await queryRows(client, "select name, setting from pg_settings where name = any($1)", [names]);
  const settings = new Map(rows.map((row) => [row["name"], row["setting"]]));
  const items: CheckItem[] = [];
  if (settings.get("wal_level") === "minimal")
    items.push({ name: "wal_level", outcome: "fail", detail: "minimal: nothing can be recovered from WAL", hint: "alter system set wal_level = replica, and restart" });
  for (const name of ["full_page_writes", "fsync"])
    if (settings.get(name) === "off") items.push({ name, outcome: "fail", detail: "off: a crash of the server can damage it", hint: `alter system set ${name} = on` });
  if (settings.get("data_checksums") === "off")
    items.push({
      name: "data checksums",
      outcome: "warning",
      detail: "off: damage on the source's disk cannot be noticed",
      hint: "pg_checksums --enable while the server is stopped",
    });
  if (settings.get("max_slot_wal_keep_size") === "-1" && source.policy.log?.schedule.kind === "stream")
    items.push({
      name: "max_slot_wal_keep_size",
      outcome: "warning",
      detail: "unlimited: while holdfast is down the server keeps WAL until its disk is full",
      hint: "set it to what the disk can spare",
    });
  return items.length > 0 ? items : [ok("settings", "as they should be")];
}

const CLOCK_TOLERANCE_SECONDS = 5;

async function checkClock(client: pg.Client, { clock }: Installation): Promise<CheckItem> {
  const before = clock.now().getTime();
  const row = await queryRow(client, "select (extract(epoch from clock_timestamp()) * 1000)::bigint::text as now");
  const offset = Math.abs(Number(text(row, "now")) - (before + clock.now().getTime()) / 2) / 1000;
  return offset <= CLOCK_TOLERANCE_SECONDS
    ? ok("clock", `within ${offset.toFixed(1)} s of the server's`)
    : { name: "clock", outcome: "warning", detail: `${offset.toFixed(0)} s away from the server's`, hint: "synchronise both with NTP: recovery points are named by time" };
}

async function checkStreaming(target: SourceTarget, source: SourceConfig): Promise<CheckItem> {
  try {
    await using receiver = await openWalReceiver(target);
    const { position } = await receiver.identify();
    const detail = `allowed; the server is at ${formatLsn(position)}, our slot is ${slotName(source.name)}`;
    await using connection = await connect(target, { purpose: "check" });
    return (await slotTrouble(connection.client, source)) ?? ok("streaming", detail);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { name: "streaming", outcome: source.policy.log?.schedule.kind === "stream" ? "fail" : "warning", detail: error.message, hint: error.hint };
  }
}

/** A slot promises WAL only while `max_slot_wal_keep_size` (or an idle time-out, 18) allows it. */
async function slotTrouble(client: pg.Client, source: SourceConfig): Promise<CheckItem | null> {
  const status = await slotStatus(client, slotName(source.name));
  if (status === "lost")
    return {
      name: "streaming",
      outcome: "fail",
      detail: `the server has removed WAL that slot ${slotName(source.name)} was to keep`,
      hint: "the next stream begins behind the gap: take a backup then; raise max_slot_wal_keep_size",
    };
  if (status === "unreserved")
    return {
      name: "streaming",
      outcome: "warning",
      detail: `the server is about to remove WAL that slot ${slotName(source.name)} keeps`,
      hint: "see why holdfast is behind; raise max_slot_wal_keep_size",
    };
  return null;
}

/** Whether WAL arrives: what is durable in each copy, beside what the server has. */
async function checkArchive(installation: Installation, source: SourceConfig, identity: ServerIdentity): Promise<CheckItem[]> {
  const items: CheckItem[] = [];
  for (const name of source.policy.log?.repositories ?? []) {
    const view = await attempt(`WAL in ${name}`, items, async () => CopyView.open(await installation.repository(name), source.name));
    if (view === null) {
      items.push({ name: `WAL in ${name}`, outcome: "warning", detail: "nothing yet", hint: "it begins with the first backup, or 'holdfast serve'" });
      continue;
    }
    if (view.place.systemIdentifier !== identity.systemIdentifier) {
      items.push({
        name: `WAL in ${name}`,
        outcome: "fail",
        detail: `the source is bound to cluster ${view.place.systemIdentifier}, the server is ${identity.systemIdentifier}`,
        hint: "check the connection; a new cluster needs a source name of its own",
      });
      continue;
    }
    const gaps = view.gaps(true).length;
    const position = view.stream?.position?.lsn ?? null;
    const detail = `${position === null ? "no stream yet" : `streamed to ${formatLsn(parseLsn(position))}`}, ${gaps} gaps`;
    items.push(
      gaps === 0
        ? ok(`WAL in ${name}`, detail)
        : { name: `WAL in ${name}`, outcome: "fail", detail, hint: "take a new backup: what lies behind a gap cannot be reached from before it" },
    );
  }
  return items;
}
