import { identifier } from "../support/session.ts";
import type { Cluster } from "../support/running-cluster.ts";
import type { Random } from "../support/random.ts";
import { LEDGER, SHOP } from "../support/workload-schema.ts";
import { mutate } from "../support/workload.ts";
import type { Stage } from "./stage.ts";

/** What happens to the source between backups: the workload's own mix, and what only a torture test wants. */
interface Place {
  readonly source: Cluster;
  readonly random: Random;
  /** Unlike any other of the seed. */
  readonly number: number;
}

type Change = (place: Place) => Promise<void>;

const CHANGES: Readonly<Record<string, Change>> = {
  /** Rows deleted from pages marked all-visible, and read by index-only scan: the case that no page LSN tells of. */
  "delete beneath a visibility map": async ({ source, random }) => {
    await using shop = await source.connect(SHOP);
    await shop.each([
      "vacuum orders",
      `delete from orders where id % 37 = ${random.integer(0, 36)}`,
      "set enable_seqscan = off",
      "select count(*) from orders where id > 0",
      "set enable_seqscan = on",
    ]);
  },

  /** A database copied from another: its files are new, and their pages old. */
  "copy a database": async ({ source, random, number }) => {
    const strategy = source.major >= 15 ? ` strategy ${random.pick(["wal_log", "file_copy"])}` : "";
    const template = random.pick([LEDGER, "template1"]);
    const name = identifier(`copy_${number}`);
    const [open] = await source.sql(`select 1 from pg_prepared_xacts where database = '${LEDGER}'`);
    // A template must be at rest, and a prepared transaction is not.
    await source.sql(`create database ${name} template ${open === undefined ? template : "template1"}${strategy}`);
    await using session = await source.connect(`copy_${number}`);
    await session.each([`create table own (id int primary key, note text)`, `insert into own select g, repeat('n', g % 50) from generate_series(1, ${random.integer(10, 800)}) g`]);
  },

  "drop a copied database": async ({ source }) => {
    const [oldest] = await source.sql("select datname from pg_database where datname like 'copy\\_%' order by datname limit 1");
    if (oldest !== undefined) await source.sql(`drop database ${identifier(oldest["datname"] ?? "")}`);
  },

  /** In place, so that replaying its creation makes none where the source has its own. 15 and newer. */
  "new tablespace": async ({ source, random, number }) => {
    if (source.major < 15) return;
    const name = `place_${number}`;
    await using shop = await source.connect(SHOP);
    await shop.each([
      "set allow_in_place_tablespaces = on",
      `create tablespace ${name} location ''`,
      `create table in_${name} (id int primary key using index tablespace ${name}, note text) tablespace ${name}`,
      `insert into in_${name} select g, repeat('t', g % 90) from generate_series(1, ${random.integer(10, 900)}) g`,
    ]);
  },

  "drop a tablespace": async ({ source }) => {
    const [oldest] = await source.sql("select spcname from pg_tablespace where spcname like 'place\\_%' order by oid limit 1");
    if (oldest === undefined) return;
    const name = oldest["spcname"] ?? "";
    await source.sql(`drop table if exists in_${name}`, SHOP);
    await source.sql(`drop tablespace ${name}`);
  },

  /** Fewer pages than before, then more, in one table after the other. */
  "truncate and load": async ({ source, random }) => {
    await using shop = await source.connect(SHOP);
    const rows = random.integer(50, 1500);
    await shop.each([
      "begin",
      "truncate imports",
      `insert into imports (id, line, amount) select g, md5(g::text), g from generate_series(1, ${rows}) g`,
      random.chance(0.7) ? "commit" : "rollback",
    ]);
  },

  /** The rows at the end of a file are gone, and VACUUM gives their pages back. */
  "shrink a table": async ({ source, random }) => {
    await using shop = await source.connect(SHOP);
    const keep = random.pick([0, 1, 2, 5]);
    await shop.each([`delete from imports where ctid >= '(${keep},1)'::tid`, "vacuum (truncate) imports"]);
  },

  "give out numbers": async ({ source, random }) => {
    await source.sql(`select count(nextval('tickets')) from generate_series(1, ${random.integer(1, 90)})`, SHOP);
  },
};

/** A mix that makes databases faster than it drops them would make each look at all of them long. */
const MOST_DATABASES = 3;

async function dropSome({ source }: Stage): Promise<void> {
  const made = await source.sql("select datname from pg_database where datname ~ '^(copy|extra)_' order by oid desc");
  for (const { datname } of made.slice(MOST_DATABASES)) await source.sql(`drop database ${identifier(datname ?? "")}`);
}

/** A random mix. `number` is unlike any other of the seed. */
export async function change(stage: Stage, random: Random, number: number): Promise<void> {
  const { source, tally } = stage;
  for (const name of await mutate(source, stage.plan.seed, number)) tally.did(name);
  for (const name of random.sample(Object.keys(CHANGES), random.integer(1, 3))) {
    await CHANGES[name]?.({ source, random, number });
    tally.did(name);
  }
  await dropSome(stage);
}

/** A load that is cut off by the death of the server leaves pages of zeros where an older backup has rows. */
export async function dieInLoad(source: Cluster): Promise<void> {
  await using shop = await source.connect(SHOP);
  await shop.each(["delete from imports where ctid >= '(1,1)'::tid", "vacuum (truncate) imports", "begin"]);
  await shop.rows("insert into imports (id, line, amount) select g, repeat(md5(g::text), 8), g from generate_series(1000001, 1003000) g");
  await source.kill9();
}
