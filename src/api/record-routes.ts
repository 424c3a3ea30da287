import { pageOfEntries } from "../catalog/entries.ts";
import type { RecordedEntry } from "../catalog/entries.ts";
import { auditQuery, auditSchema, evidenceQuery, evidenceSchema, reportsQuery, reportsSchema } from "./record-schemas.ts";
import { pageOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { visibleTo } from "./visible.ts";

/** What is on record: who did what, the evidence itself, and the reports that were written. Of a token for some sources, only what is of those. */
export function addRecordRoutes(api: Api, context: RouteContext): void {
  const { catalog } = context;

  api.get(
    "/api/v1/audit",
    {
      config: { access: "audit" },
      schema: { summary: "Everything that was done, but runs: who, what, when; newest first", querystring: auditQuery, response: { 200: auditSchema } },
    },
    (request) => {
      const { kind = null, by = null, from, to, limit, offset } = request.query;
      const page = { sources: visibleTo(context, request).names, kind, by, from: from?.toISOString() ?? null, to: to?.toISOString() ?? null, limit: limit + 1, offset };
      return pageOf(pageOfEntries(catalog, page), request.query);
    },
  );

  api.get(
    "/api/v1/reports",
    { config: { access: "look" }, schema: { summary: "Reports that were written and signed, newest first", querystring: reportsQuery, response: { 200: reportsSchema } } },
    (request) => {
      const { limit, offset } = request.query;
      const { names } = visibleTo(context, request);
      const page = { sources: null, kind: "report.written", by: null, from: null, to: null, limit: limit + 1, offset };
      // A report is of several sources: whoever may not see all of them is not told of it.
      const found = names === null ? pageOfEntries(catalog, page) : [];
      return pageOf(found.map(reportView), request.query);
    },
  );

  api.get(
    "/api/v1/evidence",
    { config: { access: "audit" }, schema: { summary: "The evidence log of this host, newest first", querystring: evidenceQuery, response: { 200: evidenceSchema } } },
    (request) => evidencePage(context, visibleTo(context, request).names, request.query),
  );
}

async function evidencePage(
  { evidence, evidenceHead }: RouteContext,
  names: readonly string[] | null,
  { before, limit }: { before?: number | undefined; limit: number },
): Promise<{
  head: { writer: string; sequence: number; sha256: string } | null;
  items: { sequence: number; at: string; kind: string; sha256: string; facts: Record<string, unknown> }[];
  nextBefore: number | null;
}> {
  const head = await evidenceHead();
  const upTo = Math.min((before ?? Number.MAX_SAFE_INTEGER) - 1, head?.sequence ?? 0);
  const entries = upTo < 1 ? [] : await evidence(upTo, limit);
  const seen = entries.filter(({ facts }) => names === null || (typeof facts["source"] === "string" && names.includes(facts["source"])));
  const last = entries.at(-1)?.sequence ?? 1;
  return { head, items: seen.map(({ sequence, at, kind, sha256, facts }) => ({ sequence, at, kind, sha256, facts: { ...facts } })), nextBefore: last > 1 ? last : null };
}

function reportView({ at, writer, sequence, facts }: RecordedEntry): {
  writtenAt: string;
  from: string | null;
  to: string | null;
  sources: string[] | null;
  status: string | null;
  writer: string;
  sequence: number;
} {
  const text = (name: string): string | null => (typeof facts[name] === "string" ? facts[name] : null);
  const sources = Array.isArray(facts["sources"]) ? facts["sources"].filter((name): name is string => typeof name === "string") : null;
  return { writtenAt: at, from: text("from"), to: text("to"), sources, status: text("status"), writer, sequence };
}
