import path from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { parseMoment } from "./parse-moment.ts";
import { REPORT_FORMATS, writeReport } from "./write-report.ts";
import type { ReportFormat } from "./write-report.ts";

interface ReportOptions extends CommonOptions {
  readonly from: string;
  readonly to: string;
  readonly source?: string[];
  readonly format: ReportFormat[];
  readonly out: string;
  readonly failOn?: "breach";
}

export function reportCommand(): Command {
  return newCommand("report", "the compliance report of a period, signed", "holdfast report --from 2026-10-01T00:00Z --to 2026-11-01T00:00Z --out october")
    .requiredOption("--from <time>", "first moment of the period, with a zone")
    .requiredOption("--to <time>", "first moment after the period, with a zone")
    .option("--source <name>", "only this source (repeatable; default: all)", (value: string, all: string[] | undefined) => [...(all ?? []), value])
    .addOption(new Option("--format <format...>", "which files to write").choices([...REPORT_FORMATS]).default([...REPORT_FORMATS]))
    .requiredOption("--out <folder>", "where to write it")
    .addOption(new Option("--fail-on <what>", "exit 1 where an objective was breached").choices(["breach"]))
    .action(async (options: ReportOptions) =>
      perform(options, async ({ output, openApp }) => {
        const period = { from: parseMoment("--from", options.from), to: parseMoment("--to", options.to) };
        const app = await openApp();
        const { report, files, attestation, evidenceEntries } = await writeReport(app, {
          ...period,
          sources: options.source ?? null,
          formats: options.format,
          folder: path.resolve(options.out),
        });
        output.result({ status: report.status, files, attestation, evidenceEntries, summary: report.summary, findings: report.findings }, () =>
          [`${report.status}: ${report.findings.length} findings`, ...files, `${attestation}  (signed by ${app.host.signer.fingerprint.slice(0, 16)})`, ""].join("\n"),
        );
        const breached = report.sources.some(({ recoveryPoint, recoveryTime }) => recoveryPoint === "breached" || recoveryTime.verdict === "breached");
        return options.failOn === "breach" && breached ? 1 : 0;
      }),
    );
}
