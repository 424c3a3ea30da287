import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance } from "fastify";
import type { AccessKind, AccessLog } from "../access/access-log.ts";
import type { Identity } from "../access/identity.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { PauseRecord } from "../catalog/pauses.ts";
import type { PolicyVersion } from "../catalog/policies.ts";
import type { Clock } from "../clock.ts";
import type { EvidenceHead } from "../domain/compliance.ts";
import type { Inventory, SourceConfig } from "../policy/types.ts";
import { ApiProblem } from "./problem.ts";
import { isPeriod, NOT_A_PERIOD } from "./schema-parts.ts";
import type { ZodTypeProvider } from "./zod-provider.ts";

export type Api = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

/** What routes answer from. */
export interface RouteContext {
  readonly catalog: Catalog;
  readonly inventory: Inventory;
  readonly clock: Clock;
  /** The newest entry of this host's evidence log; null: not looked up. */
  readonly evidenceHead: () => Promise<EvidenceHead | null>;
  /** Entries of this host's evidence log, newest first, up to `upTo` (inclusive). */
  readonly evidence: (upTo: number, limit: number) => Promise<readonly EvidenceItem[]>;
  /** Puts something on record, durably, and from there into the catalog. */
  readonly record: (kind: AccessKind | "alert.acknowledged", facts: Readonly<Record<string, unknown>>) => Promise<void>;
  readonly accessLog: AccessLog;
  /** An id for a run that is asked for here and begins elsewhere. */
  readonly newRunId: () => string;
  readonly changes: Changes;
}

/** What is changed at once. The verbs are the same that the command line has. */
interface Changes {
  pause(order: { readonly source: SourceConfig; readonly reason: string; readonly until: Date; readonly by: string }): Promise<PauseRecord>;
  approve(order: { readonly name: string; readonly identity: Identity }): Promise<PolicyVersion>;
}

interface EvidenceItem {
  readonly sequence: number;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sha256: string;
}

/** The source that is asked for; 404 where the inventory has none of that name. */
export function sourceOf({ inventory }: RouteContext, name: string): SourceConfig {
  const source = inventory.sources.get(name);
  if (source === undefined) throw new ApiProblem(404, "there is no source of that name", { hint: "see /api/v1/sources" });
  return source;
}

/** The one that is asked for, or all. */
export function sourcesOf(context: RouteContext, name: string | undefined): SourceConfig[] {
  return name === undefined ? [...context.inventory.sources.values()] : [sourceOf(context, name)];
}

/** The period that is asked for: up to now, and as long as is usual, where an end is left out. */
export function periodOf({ from, to }: { from?: Date | undefined; to?: Date | undefined }, now: Date, usualSeconds: number): { from: Date; to: Date } {
  const end = to ?? now;
  const period = { from: from ?? new Date(end.getTime() - usualSeconds * 1000), to: end };
  if (!isPeriod(period)) throw new ApiProblem(400, "the period that is asked for cannot be answered", { hint: NOT_A_PERIOD });
  return period;
}

/** A page out of `found`, which was asked for one more than fits, so that it is known whether there is more. */
export function pageOf<T>(found: readonly T[], { limit, offset }: { limit: number; offset: number }): { items: T[]; nextOffset: number | null } {
  return { items: found.slice(0, limit), nextOffset: found.length > limit ? offset + limit : null };
}
