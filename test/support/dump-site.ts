import { startCluster } from "./cluster.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import type { Cluster } from "./running-cluster.ts";
import { openSite } from "./site.ts";
import type { Site } from "./site.ts";

/** A server with databases that are backed up by `pg_dump` as the source `shop`: 5,000 orders in `shop`, which a role with a password owns, and a database whose name has to be quoted. */
export async function openDumpSite(
  stack: AsyncDisposableStack,
  binaries: PostgresBinaries,
  { ordersExpected }: { readonly ordersExpected: string },
): Promise<{ source: Cluster; site: Site }> {
  const source = stack.use(await startCluster({ binaries }));
  const policy = `objectives: { rpo: 1d, rto: 1h }
backups:
  full: { schedule: { every: 1d }, retention: { keepLast: 9 }, repositories: [onsite] }
drills: { schedule: { every: 30d }, select: latest, checks: [{ sql: "select count(*) from orders", database: shop, expect: { ${ordersExpected} } }] }
`;
  const inventoryExtra = ["  shop: { kind: postgres-logical, connection: env:SITE_URL, policy: dumps }"];
  const site = stack.use(await openSite({ cluster: source, inventoryExtra, policies: { dumps: policy } }));
  await source.sql("create role clerk login password 'hunter2'");
  await source.sql("create database shop owner clerk");
  await source.sql(`create database "odd 'name"`);
  await source.sql("create table orders as select g as id, repeat(md5(g::text), 3) as note from generate_series(1, 5000) g", "shop");
  return { source, site };
}
