import type { Random } from "./random.ts";
import { documentText, order, prose, timestamp } from "./realistic-rows.ts";
import { copyRows, insertRows, numbered } from "./row-loading.ts";
import { identifier, literal } from "./session.ts";
import type { Session } from "./session.ts";
import { storageActions } from "./workload-storage-actions.ts";

/** Where an action acts, and whence its choices come. */
export interface World {
  readonly random: Random;
  readonly step: number;
  readonly shop: Session;
  readonly ledger: Session;
  readonly major: number;
  readonly tablespaces: number;
}

export type Action = (world: World) => Promise<void>;
export type ActionName = keyof typeof ACTIONS;

/** What happens to rows. What happens to files is in workload-storage-actions.ts. */
const rowActions = {
  "insert orders": async ({ shop, random }) =>
    insertRows(
      shop,
      "orders",
      numbered(random.integer(50, 400), (id) => order(random, id, 600), await nextId(shop, "orders")),
    ),

  "update orders": async ({ shop, random }) => {
    await shop.rows(`update orders set status = ${literal(random.pick(["paid", "shipped", "new"]))}, amount = amount + 1 where id % 23 = ${random.integer(0, 22)}`);
  },

  /** Clears visibility-map bits that no page LSN tells of (recovery rule 1). */
  "delete a few orders": async ({ shop, random }) => {
    await shop.rows(`delete from orders where id % 61 = ${random.integer(0, 60)}`);
  },

  "delete orders and vacuum": async ({ shop, random }) => {
    await shop.each([`delete from orders where id % 29 = ${random.integer(0, 28)}`, "vacuum orders"]);
  },

  /** Changes within a page, without a new index entry, and the pruning that follows. */
  "count in place": async ({ shop, random }) => {
    for (let round = 0; round < 3; round++)
      await shop.rows(`update counters set value = value + 1, touched = ${literal(timestamp(random))} where id % 5 = ${random.integer(0, 4)}`);
    await shop.rows("select sum(value) from counters");
  },

  "edit documents": async ({ shop, random }) => {
    await shop.rows("update documents set content = $1, plain = $2 where id % 9 = $3", [documentText(random), documentText(random), random.integer(0, 8)]);
    await insertRows(
      shop,
      "documents",
      [{ id: await nextId(shop, "documents"), title: prose(random, 4), content: documentText(random), plain: "short" }],
      "id, title, content, plain",
    );
  },

  "change customers": async ({ shop, random }) => {
    await shop.rows("update customers set tags = tags || $1::text[], address = address || $2::jsonb where id % 17 = $3", [
      `{${random.hex(3)}}`,
      JSON.stringify({ zip: random.hex(5) }),
      random.integer(0, 16),
    ]);
  },

  "archive old orders": async ({ shop, random }) => {
    const until = Number(await shop.value("select coalesce(min(id), 0) from orders")) + random.integer(20, 200);
    await shop.rows(`with old as (delete from orders where id < ${until} returning *) insert into orders_archive select * from old on conflict (id) do nothing`);
  },

  /** Dead rows, and pages that only a transaction which never was has filled. */
  "abort a load": async ({ shop, random }) => {
    const first = await nextId(shop, "orders");
    await shop.rows("begin");
    await insertRows(
      shop,
      "orders",
      numbered(300, (id) => order(random, id, 600), first),
    );
    await shop.each(["savepoint half", "delete from orders where id % 2 = 0", "rollback to half", "update counters set value = -1 where id < 50", "rollback"]);
  },

  "keep half of a transaction": async ({ shop, random }) => {
    const first = await nextId(shop, "orders");
    await shop.rows("begin");
    await insertRows(
      shop,
      "orders",
      numbered(20, (id) => order(random, id, 600), first),
    );
    await shop.each(["savepoint half", `delete from orders where id % 31 = ${random.integer(0, 30)}`, "rollback to half", "commit"]);
  },

  "use sessions": async ({ shop, random }) => {
    await insertRows(
      shop,
      "sessions",
      numbered(50, (id) => ({ id: random.uuid(), customer: id, data: { agent: prose(random, 3) }, seen: timestamp(random) })),
    );
    await shop.rows(`delete from sessions where customer % 7 = ${random.integer(0, 6)}`);
  },

  "post ledger entries": async ({ ledger, random }) => {
    const first = await nextId(ledger, "entries");
    await insertRows(
      ledger,
      "entries",
      numbered(
        random.integer(30, 200),
        (id) => ({
          id,
          account: random.integer(1, 200),
          day: `202${random.integer(4, 5)}-1${random.integer(0, 2)}-0${random.integer(1, 9)}`,
          amount: random.integer(-9999, 9999),
          memo: prose(random, 9),
        }),
        first,
      ),
    );
    await ledger.rows("update accounts set balance = balance + 1 where id % 3 = 0");
  },

  "refresh balances": async ({ ledger, random }) => {
    await ledger.rows(`refresh materialized view ${random.chance(0.5) ? "concurrently " : ""}balances`);
  },

  "prepare a transaction": async ({ ledger, random, step }) => {
    if ((await ledger.value("select current_setting('max_prepared_transactions')")) === "0") return;
    const gid = `workload ${step} ${random.hex(6)}`;
    const first = Number(await ledger.value("select coalesce(max(id), 0) from pending")) + step * 1000 + random.integer(1, 500);
    await ledger.rows("begin");
    await insertRows(
      ledger,
      "pending",
      numbered(20, (id) => ({ id, gid, memo: prose(random, 20) }), first),
    );
    await ledger.rows(`prepare transaction ${literal(gid)}`);
  },

  "end a prepared transaction": async ({ ledger, random }) => {
    const [oldest] = await ledger.rows("select gid from pg_prepared_xacts where database = current_database() order by gid limit 1");
    if (oldest !== undefined) await ledger.rows(`${random.chance(0.6) ? "commit" : "rollback"} prepared ${literal(oldest["gid"] ?? "")}`);
  },

  "write large objects": async ({ shop, random }) => {
    await shop.rows("select lo_from_bytea(0, convert_to($1, 'UTF8'))", [documentText(random)]);
    if (random.chance(0.4)) await shop.rows("select lo_unlink(min(oid)) from pg_largeobject_metadata");
  },

  "new ticket table": async ({ shop, random, step }) => {
    const table = identifier(`tickets_${step}_${random.hex(4)}`);
    await shop.each([
      `create table ${table} (id bigint primary key default nextval('tickets'), note text not null)`,
      `insert into ${table} (note) select 'ticket ' || i from generate_series(1, 40) as i`,
    ]);
  },

  "drop a ticket table": async ({ shop }) => {
    const [oldest] = await shop.rows("select relname from pg_class where relname like 'tickets\\_%' and relkind = 'r' order by relname limit 1");
    if (oldest !== undefined) await shop.rows(`drop table ${identifier(oldest["relname"] ?? "")}`);
  },

  /** Bulk extension of a table that was just emptied: zero pages where an older backup has rows (recovery rule 3). */
  "reload imports": async ({ shop, random }) => {
    await shop.rows("truncate imports");
    await copyRows(
      shop,
      "imports (id, line, amount, note)",
      numbered(random.integer(500, 3000), (id) => [id, prose(random, 9), random.integer(1, 1e6) / 100, random.chance(0.3) ? null : prose(random, 12)]),
    );
  },
} satisfies Record<string, Action>;

export const ACTIONS = { ...rowActions, ...storageActions };

async function nextId(session: Session, table: string): Promise<number> {
  return Number(await session.value(`select coalesce(max(id), 0) + 1 from ${table}`));
}
