import { createHash } from "node:crypto";
import path from "node:path";
import type { App } from "../app.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { signDigests } from "../compliance/attestation.ts";
import { completenessOf } from "../compliance/completeness.ts";
import { streamReport } from "../compliance/report.ts";
import { csvLines, completenessTable, csvTables, sampleTable, slotTable } from "../compliance/report-csv.ts";
import { ExtractMaker } from "../compliance/report-extract.ts";
import type { ReportExtract, ReportSink } from "../compliance/report-extract.ts";
import { pagePieces } from "../compliance/report-html.ts";
import { slotBySlot } from "../compliance/slot-list.ts";
import { jsonPieces } from "../compliance/report-json.ts";
import type { Completeness } from "../compliance/completeness.ts";
import type { EvidenceHead, ReportFigures, ReportSource } from "../domain/compliance.ts";
import type { RunRecord } from "../domain/control-population.ts";
import { Sampler } from "../domain/sample.ts";
import { messageOf, HoldfastError } from "../errors.ts";
import { openCatalogAsOf } from "../operations/evidence/catalog-as-of.ts";
import { recordEntry } from "../operations/record-run.ts";
import { ClearAway } from "./clear-away.ts";
import { GrowingFile, LongFiles } from "./long-files.ts";

export const REPORT_FORMATS = ["json", "csv", "html", "pdf"] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

export interface ReportOrder {
  readonly from: Date;
  readonly to: Date;
  /** Null: every source. */
  readonly sources: readonly string[] | null;
  readonly formats: readonly ReportFormat[];
  /** What was known then; null: all that is. */
  readonly asOf: Date | null;
  /** Also every slot by itself, where the population has intervals: slots.csv. */
  readonly slots: boolean;
  readonly folder: string;
  /** Records to draw for somebody who looks into them. `seed` null: that of the newest entry of evidence, which nobody could choose. */
  readonly sample: { readonly size: number; readonly seed: string | null } | null;
}

export interface WrittenReport {
  readonly report: ReportFigures;
  readonly files: readonly string[];
  readonly attestation: string;
  readonly evidenceEntries: number;
  readonly sample: DrawnSample | null;
  /** By source and work: the slots that were promised, and those on record. */
  readonly completeness: readonly Completeness[];
}

export interface DrawnSample {
  readonly seed: string;
  readonly of: number;
  readonly runs: readonly string[];
}

/** A file of a report, in pieces. */
interface ReportPart {
  readonly name: string;
  readonly write: (put: (piece: string | Buffer) => void) => Promise<void>;
}

/** Writes the compliance report of a period and, beside it, a signed statement over the files; and puts on record that it was written. */
export async function writeReport(app: App, order: ReportOrder): Promise<WrittenReport> {
  const now = app.clock.now();
  if (order.asOf !== null && order.asOf > now)
    throw new HoldfastError("HF-USAGE", "--as-of lies ahead: nobody knows yet what will be known", { hint: "leave it out for all that is on record" });
  await using then = order.asOf === null ? null : await openCatalogAsOf(app, order.asOf, path.join(app.inventory.state, `as-of-${process.pid}.sqlite`));
  const evidenceHead = then === null ? await app.journal.evidence.head() : then.head;
  // All from one state of the catalog, whoever writes in it meanwhile.
  const { report, ...written } = await app.catalog.readTogether(() => writeFiles(app, order, { now, evidenceHead, record: then?.catalog ?? app.catalog }));
  const { files, sample, completeness, facts } = written;
  const subject = files.map((file) => ({ name: file.name, digest: { sha256: file.sha256 } }));
  const entry = await recordEntry(app.journal, "report.written", { ...facts, sources: order.sources }, subject);
  await app.journal.copyToRepositories();
  const placed = files.map(({ name }) => path.join(order.folder, name));
  return { report, files: placed, attestation: path.join(order.folder, ATTESTATION), evidenceEntries: entry.sequence, sample, completeness };
}

interface WrittenFiles extends Pick<WrittenReport, "report" | "sample" | "completeness"> {
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** What is signed with the files. */
  readonly facts: Readonly<Record<string, unknown>>;
}

async function writeFiles(app: App, order: ReportOrder, { now, evidenceHead, record }: { now: Date; evidenceHead: EvidenceHead | null; record: Catalog }): Promise<WrittenFiles> {
  const asOf = order.asOf === null ? null : { at: order.asOf, record };
  await using resources = new AsyncDisposableStack();
  const sampler = order.sample === null ? null : new Sampler<RunRecord>(order.sample.size, order.sample.seed ?? evidenceHead?.sha256 ?? "", sha256);
  try {
    // Nothing is touched before it is known that the report can be made: the files come with the first records.
    let opened: LongFiles | null = null;
    const files = (): LongFiles => (opened ??= resources.use(new LongFiles(order.folder, order.formats)));
    const extracting = new ExtractMaker();
    const report = streamReport(
      { catalog: app.catalog, inventory: app.inventory, from: order.from, to: order.to, now, sources: order.sources, evidenceHead, asOf },
      toAll(files, extracting, sampler),
    );
    const drawn = sampler?.sample() ?? null;
    const sample = drawn === null ? null : { seed: drawn.seed, of: drawn.of, runs: drawn.drawn.map(({ id }) => id) };
    const parts = order.formats.flatMap((format) => partsOf(format, report, extracting.extract(), files()));
    if (drawn !== null) parts.push(pieces("sample.csv", csvLines(sampleTable(drawn.drawn))));
    // Slots of the last day may wait for another operation, and are on record only when they are taken up.
    const settled = new Date(Math.min(order.to.getTime(), (order.asOf ?? now).getTime() - DAY_MS));
    const completeness = completenessOf(record, report.cover.scope.sources, order.from, settled);
    if (order.formats.includes("csv")) parts.push(pieces("completeness.csv", csvLines(completenessTable(completeness))));
    if (order.slots) parts.push(pieces("slots.csv", csvLines(slotTable(slotBySlot(record, sourcesIn(app, report), order.from, order.to)))));
    const facts = { from: order.from.toISOString(), to: order.to.toISOString(), status: report.status, sample, ...(asOf === null ? {} : { asOf: asOf.at.toISOString() }) };
    const written: { name: string; sha256: string }[] = [];
    for (const part of parts) written.push(await writePart(order.folder, part));
    written.push(...files().tables());
    const attestation = signDigests(app.host.signer, written, { ...facts, writtenAt: now.toISOString(), evidenceHead });
    await writePart(order.folder, pieces(ATTESTATION, [attestation]));
    return { report, files: written, sample, completeness, facts };
  } catch (cause) {
    if (cause instanceof HoldfastError || !(cause instanceof Error && "code" in cause)) throw cause;
    throw new HoldfastError("HF-STORAGE", `cannot write the report to ${order.folder}: ${messageOf(cause)}`, { hint: "choose another folder with --out", cause });
  }
}

/** A source needs a megabyte or two, and leaves ten. */
const MOST_LEFT_BYTES = 64 << 20;

function toAll(files: () => LongFiles, extracting: ExtractMaker, sampler: Sampler<RunRecord> | null): ReportSink {
  const clearing = new ClearAway(MOST_LEFT_BYTES);
  return {
    run: (run) => {
      files().run(run);
      extracting.run(run);
      sampler?.take(run);
    },
    drill: (drill) => {
      files().drill(drill);
      extracting.drill(drill);
    },
    source: (source) => {
      files().source(source);
      extracting.source(source);
      clearing.now();
    },
  };
}

function sourcesIn({ inventory }: App, { cover }: ReportFigures): ReportSource[] {
  return cover.scope.sources.flatMap((name) => inventory.sources.get(name) ?? []);
}

const DAY_MS = 86_400_000;
const ATTESTATION = "report.dsse.json";

/** Without the tables of records, which are written already. */
function partsOf(format: ReportFormat, report: ReportFigures, extract: ReportExtract, long: LongFiles): ReportPart[] {
  switch (format) {
    case "json":
      return [pieces("report.json", jsonPieces(report, long.lines()))];
    case "html":
      return [pieces("report.html", pagePieces(report, extract))];
    case "csv":
      return csvTables(report).map((table) => pieces(table.name, csvLines(table)));
    case "pdf":
      return [{ name: "report.pdf", write: async (put) => put(await (await import("../compliance/report-pdf.ts")).renderPdf(report, extract)) }];
  }
}

function pieces(name: string, all: Iterable<string | Buffer>): ReportPart {
  return {
    name,
    write: async (put) => {
      for (const piece of all) put(piece);
    },
  };
}

async function writePart(folder: string, { name, write }: ReportPart): Promise<{ name: string; sha256: string }> {
  using file = new GrowingFile(path.join(folder, name));
  await write((piece) => file.put(piece));
  return { name, sha256: file.digest() };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
