import path from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { HoldfastError } from "../errors.ts";
import type { Inventory } from "../policy/types.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { parseMoment } from "./parse-moment.ts";
import { REPORT_FORMATS, writeReport } from "./write-report.ts";
import type { DrawnSample, ReportFormat } from "./write-report.ts";

interface ReportOptions extends CommonOptions {
  readonly from: string;
  readonly to: string;
  readonly source?: string[];
  readonly label?: string[];
  readonly asOf?: string;
  readonly sample?: number;
  readonly seed?: string;
  readonly slots: boolean;
  readonly format: ReportFormat[];
  readonly out: string;
  readonly failOn?: "breach";
}

export function reportCommand(): Command {
  return newCommand("report", "the compliance report of a period, signed", "holdfast report --from 2026-10-01T00:00Z --to 2026-11-01T00:00Z --out october")
    .requiredOption("--from <time>", "first moment of the period, with a zone")
    .requiredOption("--to <time>", "first moment after the period, with a zone")
    .option("--source <name>", "only this source (repeatable; default: all)", (value: string, all: string[] | undefined) => [...(all ?? []), value])
    .option("--label <name=value>", "only sources with this label (repeatable: with all of them)", (value: string, all: string[] | undefined) => [...(all ?? []), value])
    .option("--as-of <time>", "what was known at that time, and nothing that was put on record later")
    .option("--sample <records>", "draw so many records of the population for somebody to look into: sample.csv", parseCount)
    .option("--seed <text>", "of the sample; the same draws the same (default: the digest of the newest entry of evidence)")
    .option("--slots", "also every slot by itself, where the population has intervals of them: slots.csv", false)
    .addOption(new Option("--format <format...>", "which files to write").choices([...REPORT_FORMATS]).default(["json", "html"]))
    .requiredOption("--out <folder>", "where to write it")
    .addOption(new Option("--fail-on <what>", "exit 1 where an objective was breached").choices(["breach"]))
    .action(async (options: ReportOptions) =>
      perform(options, async ({ output, openApp }) => {
        const period = { from: parseMoment("--from", options.from), to: parseMoment("--to", options.to) };
        const app = await openApp();
        if (options.seed !== undefined && options.sample === undefined) throw new HoldfastError("HF-USAGE", "--seed is of a sample", { hint: "say how many records: --sample 25" });
        const { report, files, attestation, evidenceEntries, sample, completeness } = await writeReport(app, {
          ...period,
          sources: chooseScope(app.inventory, options),
          sample: options.sample === undefined ? null : { size: options.sample, seed: options.seed ?? null },
          formats: options.format,
          slots: options.slots,
          asOf: options.asOf === undefined ? null : parseMoment("--as-of", options.asOf),
          folder: path.resolve(options.out),
        });
        output.result({ status: report.status, files, attestation, evidenceEntries, sample, completeness, summary: report.summary, findings: report.findings }, () =>
          [
            `${report.status}: ${report.findings.length} findings`,
            ...describeSample(sample),
            ...files,
            `${attestation}  (signed by ${app.host.signer.fingerprint.slice(0, 16)})`,
            "",
          ].join("\n"),
        );
        const breached = report.sources.some(({ recoveryPoint, recoveryTime }) => recoveryPoint === "breached" || recoveryTime.verdict === "breached");
        return options.failOn === "breach" && breached ? 1 : 0;
      }),
    );
}

/** Names of the sources that were asked for; null: all. */
function chooseScope(inventory: Inventory, { source, label }: Pick<ReportOptions, "source" | "label">): string[] | null {
  if (label === undefined) return source ?? null;
  const wanted = label.map((text) => {
    const [name = "", ...rest] = text.split("=");
    if (name === "" || rest.length === 0) throw new HoldfastError("HF-USAGE", `${JSON.stringify(text)} is not a label`, { hint: "for example --label team=payments" });
    return { name, value: rest.join("=") };
  });
  const chosen = [...inventory.sources.values()]
    .filter(({ labels }) => wanted.every(({ name, value }) => Object.hasOwn(labels, name) && labels[name] === value))
    .map(({ name }) => name);
  const both = source === undefined ? chosen : chosen.filter((name) => source.includes(name));
  if (both.length > 0) return both;
  throw new HoldfastError("HF-USAGE", `no source has ${label.join(" and ")}${source === undefined ? "" : ` and is one of ${source.join(", ")}`}`, {
    hint: "labels are in the inventory",
  });
}

function describeSample(sample: DrawnSample | null): string[] {
  return sample === null ? [] : [`sample of ${sample.runs.length} out of ${sample.of} records, seed ${sample.seed}`];
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("not a number of records");
}
