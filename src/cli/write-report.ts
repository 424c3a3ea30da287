import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { App } from "../app.ts";
import { signReport } from "../compliance/attestation.ts";
import { buildReport } from "../compliance/report.ts";
import { renderReport } from "../compliance/report-html.ts";
import type { ComplianceReport } from "../domain/compliance.ts";
import { messageOf, HoldfastError } from "../errors.ts";
import { recordEntry } from "../operations/record-run.ts";

export const REPORT_FORMATS = ["json", "html"] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

export interface ReportOrder {
  readonly from: Date;
  readonly to: Date;
  /** Null: every source. */
  readonly sources: readonly string[] | null;
  readonly formats: readonly ReportFormat[];
  readonly folder: string;
}

export interface WrittenReport {
  readonly report: ComplianceReport;
  readonly files: readonly string[];
  readonly attestation: string;
  readonly evidenceEntries: number;
}

const RENDER: Record<ReportFormat, (report: ComplianceReport) => string> = {
  json: (report) => `${JSON.stringify(report, null, 2)}\n`,
  html: renderReport,
};

/** Writes the compliance report of a period and, beside it, a signed statement over the files; and puts on record that it was written. */
export async function writeReport(app: App, order: ReportOrder): Promise<WrittenReport> {
  const now = app.clock.now();
  const evidenceHead = await app.journal.evidence.head();
  const report = buildReport({ catalog: app.catalog, inventory: app.inventory, from: order.from, to: order.to, now, sources: order.sources, evidenceHead });
  const files = order.formats.map((format) => ({ name: `report.${format}`, bytes: Buffer.from(RENDER[format](report)) }));
  const attestation = signReport(app.host.signer, files, {
    from: order.from.toISOString(),
    to: order.to.toISOString(),
    writtenAt: now.toISOString(),
    evidenceHead,
    status: report.status,
  });
  try {
    await mkdir(order.folder, { recursive: true });
    for (const { name, bytes } of [...files, { name: "report.dsse.json", bytes: attestation }]) await writeFile(path.join(order.folder, name), bytes);
  } catch (cause) {
    throw new HoldfastError("HF-STORAGE", `cannot write the report to ${order.folder}: ${messageOf(cause)}`, { hint: "choose another folder with --out", cause });
  }
  const subject = files.map(({ name, bytes }) => ({ name, digest: { sha256: createHash("sha256").update(bytes).digest("hex") } }));
  const entry = await recordEntry(
    app.journal,
    "report.written",
    { from: order.from.toISOString(), to: order.to.toISOString(), sources: order.sources, status: report.status },
    subject,
  );
  await app.journal.copyToRepositories();
  return { report, files: files.map(({ name }) => path.join(order.folder, name)), attestation: path.join(order.folder, "report.dsse.json"), evidenceEntries: entry.sequence };
}
