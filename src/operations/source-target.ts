import type { ConnectionTarget } from "../postgres/connection.ts";

/** A source as operations see it: its name in repositories, how to reach it, and where its files are if they are on this host. */
export interface SourceTarget extends ConnectionTarget {
  readonly name: string;
  readonly dataDirectory: string | null;
}

/** The physical replication slot that holds WAL back for us. Slot names allow only these characters. */
export function slotName(source: string): string {
  return `holdfast_${source.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`.slice(0, 63);
}

/** Names of leases: one writer at a time per source, for backups and expiry, and for its WAL. */
export const leaseScopes = {
  backup: (source: string): string => `${source}.backup`,
  wal: (source: string): string => `${source}.wal`,
} as const;
