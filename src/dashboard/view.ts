import type { Catalog } from "../catalog/catalog.ts";
import type { Role } from "../domain/access.ts";
import type { EvidenceHead } from "../domain/compliance.ts";
import type { SourceSummary } from "../domain/source-summary.ts";
import type { PolicyFinding } from "../policy/feasibility.ts";
import type { StoredSource } from "./stored.ts";
import type { Inventory, SourceConfig } from "../policy/types.ts";

/** What the pages are made from. They read, and change nothing. */
export interface DashboardFacts {
  readonly catalog: Catalog;
  readonly inventory: Inventory;
  /** What the policies cannot hold as they are written. */
  readonly findings: readonly PolicyFinding[];
  readonly version: string;
  /** How every source stood when it was last observed, read again at most once a second: fifty readers do not make it fifty readings. */
  readonly summaries: () => readonly SourceSummary[];
  /** What each source has stored, at most a minute old. */
  readonly stored: () => Promise<readonly StoredSource[]>;
  /** The newest entry of this host's evidence log; null: there is none. */
  readonly evidenceHead: () => Promise<EvidenceHead | null>;
  /** Entries of this host's evidence log, newest first, up to `upTo` (inclusive). */
  readonly evidence: (upTo: number, limit: number) => Promise<readonly AuditEntry[]>;
}

export interface AuditEntry {
  readonly sequence: number;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sha256: string;
}

export interface Who {
  readonly name: string;
  readonly role: Role;
  /** True where everybody may look: nobody has signed in. */
  readonly isAnybody: boolean;
  /** What a form must send back with a session; null: there is no session that could be ended. */
  readonly csrf: string | null;
}

/** One look at a page: by whom, at what, when. */
export interface View {
  readonly facts: DashboardFacts;
  /** What whoever looks may see, by name. */
  readonly sources: ReadonlyMap<string, SourceConfig>;
  /** Who looks; null: nobody is known, as on the page that asks who it is. */
  readonly who: Who | null;
  /** True where these are all there are: then runs of sources that are no longer in the inventory are shown too. */
  readonly seesAll: boolean;
  readonly now: Date;
  readonly query: PageQuery;
}

/** What a page was asked for. Whatever is not understood is as if it were not there: a link that somebody kept still leads somewhere. */
export type PageQuery = Readonly<Record<string, string>>;

/** Thrown to answer with a page that says what is wrong. */
export class PageProblem extends Error {
  override readonly name = "PageProblem";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function sourceOf({ sources }: View, name: string): SourceConfig {
  const source = sources.get(name);
  if (source === undefined) throw new PageProblem(404, `There is no source ${JSON.stringify(name)} here, or none that you may see.`);
  return source;
}

const MOST_PAGES = 100_000;

/** Which page of a list is asked for, from 0. */
export function pageNumber({ query }: View): number {
  const number = Number(query["page"] ?? "1");
  return Number.isInteger(number) && number >= 1 && number <= MOST_PAGES ? number - 1 : 0;
}
