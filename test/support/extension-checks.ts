import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../src/errors.ts";
import type { Row, Session } from "./session.ts";
import { UnsoundError } from "./unsound.ts";

/** What PostgreSQL's own checking extensions say, of user tables and of the system's: a catalog restored wrongly is as bad. */
const RELATIONS = "select c.oid, c.oid::regclass::text as name from pg_class c where c.relkind in ('r', 'm', 't') and c.relpersistence <> 't' and c.relam <> 0 order by 2";
const BTREES = `
  select c.oid, c.oid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam
  where am.amname = 'btree' and c.relkind = 'i' and c.relpersistence <> 't' and i.indisvalid and i.indisready order by 2`;
const MAP_ATTEMPTS = 5;
const MAP_PAUSE_MS = 300;
const GIN_CHECK = "select 1 from pg_proc where proname = 'gin_index_check'";
const GINS =
  "select c.oid, c.oid::regclass::text as name from pg_class c join pg_am am on am.oid = c.relam where am.amname = 'gin' and c.relkind = 'i' and c.relpersistence <> 't' order by 2";

/** A bit in the visibility map that is not true of the page makes index-only scans, and later VACUUMs, return or keep what was deleted. */
export async function checkVisibilityMaps(session: Session, database: string): Promise<number> {
  const relations = await session.rows(RELATIONS);
  for (const check of ["pg_check_visible", "pg_check_frozen"])
    if (!(await answers(session, "0", `select count(*) from (${RELATIONS}) as relation, lateral ${check}(relation.oid)`)))
      for (const relation of relations) await checkMap(session, database, check, relation);
  return relations.length;
}

/** All relations by one query, because asking for each is most of the time. False: something is wrong with one. Then each is asked alone, and the first wrong one is named. */
async function answers(session: Session, expected: string, query: string): Promise<boolean> {
  try {
    return (await session.value(query)) === expected;
  } catch {
    return false; // the one that fails says why when it is asked alone
  }
}

/** Before 17 an unrelated transaction that just runs, autovacuum's for one, makes rows look too new for their map: that passes. Damage stays. */
async function checkMap(session: Session, database: string, check: string, relation: Row): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const [found] = await session.rows(`select count(*) as count, min(tid) as first from ${check}($1::oid) as wrong (tid)`, [relation["oid"]]);
    if (found?.["count"] === "0") return;
    if (attempt === MAP_ATTEMPTS)
      throw new UnsoundError(check, database, relation["name"] ?? "", `the visibility map is wrong about ${found?.["count"]} rows, the first at ${found?.["first"]}`);
    await delay(MAP_PAUSE_MS);
  }
}

/** Structure of each btree, and each row of the table in it. The parent check also sees a child that its parent does not lead to; it locks, and nobody else is here. */
export async function checkBtrees(session: Session, database: string): Promise<number> {
  const indexes = await session.rows(BTREES);
  if (await answers(session, String(indexes.length), `select count(bt_index_parent_check(oid, true, true)) from (${BTREES}) as index`)) return indexes.length;
  for (const index of indexes) await ask(session, database, "bt_index_parent_check", index, "select bt_index_parent_check($1::oid, true, true)");
  return indexes.length;
}

/** 18 and newer. */
export async function checkGins(session: Session, database: string): Promise<number> {
  if ((await session.rows(GIN_CHECK)).length === 0) return 0;
  const indexes = await session.rows(GINS);
  for (const index of indexes) await ask(session, database, "gin_index_check", index, "select gin_index_check($1::oid)");
  return indexes.length;
}

/** 14 and newer. */
export async function checkHeaps(session: Session, database: string): Promise<number> {
  if ((await session.rows("select 1 from pg_proc where proname = 'verify_heapam'")).length === 0) return 0;
  const relations = await session.rows(RELATIONS);
  if (await answers(session, "0", `select count(*) from (${RELATIONS}) as relation, lateral verify_heapam(relation.oid, check_toast => true)`)) return relations.length;
  for (const relation of relations) {
    const [first] = await ask(session, database, "verify_heapam", relation, "select blkno, offnum, attnum, msg from verify_heapam($1::oid, check_toast => true) limit 1");
    if (first !== undefined) throw new UnsoundError("verify_heapam", database, relation["name"] ?? "", `block ${first["blkno"]}, row ${first["offnum"]}: ${first["msg"]}`);
  }
  return relations.length;
}

/** amcheck speaks by failing. */
async function ask(session: Session, database: string, check: string, relation: Row, query: string): Promise<Row[]> {
  try {
    return await session.rows(query, [relation["oid"]]);
  } catch (error) {
    throw new UnsoundError(check, database, relation["name"] ?? "", messageOf(error), error);
  }
}
