import type pg from "pg";
import { parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { queryRows } from "./connection.ts";

/** What the server says of a slot's WAL: `lost` is final, the slot will never give WAL again. Null: there is no such slot. */
export type SlotStatus = "reserved" | "extended" | "unreserved" | "lost" | null;

export async function slotStatus(client: pg.Client, name: string): Promise<SlotStatus> {
  const [row] = await queryRows(client, "select coalesce(wal_status, 'reserved') as status from pg_replication_slots where slot_name = $1", [name]);
  return (row?.["status"] ?? null) as SlotStatus;
}

/** Drops a slot whose WAL is lost, so that it can be made anew; what it was to keep is gone either way. Returns whether it did. */
export async function dropLostSlot(client: pg.Client, name: string): Promise<boolean> {
  if ((await slotStatus(client, name)) !== "lost") return false;
  await client.query("select pg_drop_replication_slot($1)", [name]);
  return true;
}

/** From where on the server has kept WAL for a slot: what was last reported durable. Null where there is no such slot, or it has kept none yet. */
export async function slotKeepsFrom(client: pg.Client, name: string): Promise<Lsn | null> {
  const [row] = await queryRows(client, "select restart_lsn::text as lsn from pg_replication_slots where slot_name = $1", [name]);
  const kept = row?.["lsn"] ?? null;
  return kept === null ? null : parseLsn(kept);
}
