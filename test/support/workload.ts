import { ACTIONS } from "./workload-actions.ts";
import type { ActionName, World } from "./workload-actions.ts";
import { Random } from "./random.ts";
import { customer, documentText, order, prose, timestamp } from "./realistic-rows.ts";
import { insertRows, numbered } from "./row-loading.ts";
import type { Cluster } from "./running-cluster.ts";
import type { Session } from "./session.ts";
import { LEDGER, ledgerSchema, SHOP, shopSchema, SIZES } from "./workload-schema.ts";

/**
 * A test database with a life of its own. `buildWorkload` makes it; each `mutate(cluster, seed, step)` changes it in a random mix of the ways that matter to a backup.
 * The same seed and step on the same content make the same changes, on any cluster that holds the workload, a restored one too.
 */
export interface WorkloadOptions {
  readonly seed?: number;
  /** Multiplies the number of rows. 1 is about 12 MB in all. */
  readonly scale?: number;
}

export interface MutateOptions {
  /** Actions a test cannot have, for example new databases where it counts them. */
  readonly without?: readonly ActionName[];
  /** Exactly these, in this order, instead of a random mix. */
  readonly only?: readonly ActionName[];
}

/** No action of ours may wait longer for a lock, or run longer, than this: a hanging workload must fail its test with a sentence. */
const STATEMENT_TIMEOUT_MS = 60_000;
const ACTIONS_PER_STEP = { fewest: 4, most: 8 } as const;

export async function buildWorkload(cluster: Cluster, { seed = 1, scale = 1 }: WorkloadOptions = {}): Promise<void> {
  const random = new Random(`build/${seed}`);
  for (const database of [SHOP, LEDGER]) await cluster.sql(`create database ${database}`);
  await using shop = await cluster.connect(SHOP);
  await shop.each(shopSchema(cluster.place.tablespaceDirectories.length > 0 ? "space1" : null));
  await fillShop(shop, random, scale);
  await using ledger = await cluster.connect(LEDGER);
  await ledger.each(ledgerSchema());
  await fillLedger(ledger, random, scale);
}

/** Names of the actions done, in order: what a failing test prints. */
export async function mutate(cluster: Cluster, seed: number, step: number, options: MutateOptions = {}): Promise<ActionName[]> {
  const random = new Random(`mutate/${seed}/${step}`);
  await using shop = await cluster.connect(SHOP);
  await using ledger = await cluster.connect(LEDGER);
  for (const session of [shop, ledger]) await session.rows(`set statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
  const world: World = { random, step, shop, ledger, major: cluster.major, tablespaces: cluster.place.tablespaceDirectories.length };
  const chosen = options.only ?? choose(random, options.without ?? []);
  for (const name of chosen) await ACTIONS[name](world);
  return [...chosen];
}

function choose(random: Random, without: readonly ActionName[]): ActionName[] {
  const allowed = actionNames().filter((name) => !without.includes(name));
  return random.sample(allowed, random.integer(ACTIONS_PER_STEP.fewest, ACTIONS_PER_STEP.most));
}

export function actionNames(): ActionName[] {
  return Object.keys(ACTIONS) as ActionName[];
}

async function fillShop(shop: Session, random: Random, scale: number): Promise<void> {
  const customers = SIZES.customers * scale;
  await insertRows(
    shop,
    "customers",
    numbered(customers, (id) => customer(random, id)),
  );
  await insertRows(
    shop,
    "orders",
    numbered(SIZES.orders * scale, (id) => order(random, id, customers)),
  );
  await insertRows(
    shop,
    "documents",
    numbered(SIZES.documents * scale, (id) => ({ id, title: prose(random, 5), content: documentText(random), plain: documentText(random) })),
    "id, title, content, plain",
  );
  await insertRows(
    shop,
    "imports",
    numbered(SIZES.imports * scale, (id) => ({ id, line: prose(random, 9), amount: random.integer(1, 1e6) / 100, note: random.chance(0.3) ? null : prose(random, 12) })),
  );
  await insertRows(
    shop,
    "sessions",
    numbered(200, (id) => ({ id: random.uuid(), customer: id, data: { agent: prose(random, 3) }, seen: timestamp(random) })),
  );
  await shop.rows("vacuum (analyze)");
}

async function fillLedger(ledger: Session, random: Random, scale: number): Promise<void> {
  const accounts = SIZES.accounts * scale;
  await insertRows(
    ledger,
    "accounts",
    numbered(accounts, (id) => ({ id, owner: prose(random, 2), balance: random.integer(0, 1e7) / 100 })),
  );
  await insertRows(
    ledger,
    "entries",
    numbered(SIZES.entries * scale, (id) => ({
      id,
      account: random.integer(1, accounts),
      day: `202${random.integer(4, 5)}-0${random.integer(1, 9)}-1${random.integer(0, 9)}`,
      amount: random.integer(-1e6, 1e6) / 100,
      memo: prose(random, 14),
    })),
  );
  await insertRows(
    ledger,
    "toggled",
    numbered(300, (id) => ({ id, memo: prose(random, 10) })),
  );
  await ledger.each(["refresh materialized view balances", "vacuum (analyze)"]);
}
