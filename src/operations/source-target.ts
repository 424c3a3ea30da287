import { createHash } from "node:crypto";
import type { ConnectionTarget } from "../postgres/connection.ts";
import type { Rate } from "../token-bucket.ts";

/** A source as operations see it: its name in repositories, how to reach it, and where its files are if they are on this host. */
export interface SourceTarget extends ConnectionTarget {
  readonly name: string;
  readonly dataDirectory: string | null;
  /** How fast its files may be read; left out: as fast as it goes. */
  readonly readRate?: Rate;
}

const SLOT_NAME_MAX = 63;

/** The physical replication slot that holds WAL back for us. Slot names allow few characters: where a name had to be changed, a digest keeps `a-b` and `a.b` apart. */
export function slotName(source: string): string {
  const plain = `holdfast_${source.replaceAll(/[^a-z0-9_]/g, "_")}`;
  if (plain === `holdfast_${source}` && plain.length <= SLOT_NAME_MAX) return plain;
  const digest = createHash("sha256").update(source).digest("hex").slice(0, 8);
  return `${plain.slice(0, SLOT_NAME_MAX - digest.length - 1)}_${digest}`;
}

/** Names of leases: one writer at a time per source, for backups and expiry, and for its WAL. */
export const leaseScopes = {
  backup: (source: string): string => `${source}.backup`,
  wal: (source: string): string => `${source}.wal`,
} as const;
