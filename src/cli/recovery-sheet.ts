import type { Command } from "commander";
import { chooseRepository } from "../operations/keys/key-change.ts";
import { formatSheetBlock, makeRecoverySheet } from "../operations/keys/recovery-sheet.ts";
import type { RecoverySheet, SheetRepository } from "../operations/keys/recovery-sheet.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";

export function recoverySheetCommand(): Command {
  return newCommand("recovery-sheet", "one page to print and keep with the keys: what to do with an empty machine and one key", "holdfast recovery-sheet > sheet.txt")
    .argument("[repository]", "only this repository (default: all)")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const { repositories } = app.inventory;
        const sheet = await makeRecoverySheet(app, name === undefined ? [...repositories.values()] : [chooseRepository(app.inventory, name)]);
        output.result(sheet, () => `${[...describeSheet(sheet), "", ...formatSheetBlock(sheet)].join("\n")}\n`);
        return 0;
      }),
    );
}

/** What a person reads of it. */
export function describeSheet(sheet: RecoverySheet): string[] {
  return [
    "HOLDFAST RECOVERY SHEET",
    `made ${sheet.madeAt.slice(0, 16).replace("T", " ")} UTC on ${sheet.madeOn}. There is no secret on this page: keep it with the keys, and on paper.`,
    ...sheet.repositories.flatMap((repository) => ["", ...describeRepository(sheet, repository)]),
    "",
    "Last proof",
    ...sheet.sources.map(
      ({ name, lastProof }) =>
        `  ${name}: ${lastProof === null ? "no drill has passed yet" : `drill ${lastProof.drill} ended ${lastProof.at.slice(0, 16).replace("T", " ")} UTC with ${lastProof.verdict}${lastProof.backupId === null ? "" : `, backup ${lastProof.backupId}`}`}`,
    ),
    "",
    "Try this page, with nothing but itself and a key",
    "  HOLDFAST_KEY=… holdfast drill --as-stranger sheet.txt --scratch /a/folder/with/room",
  ];
}

function describeRepository(sheet: RecoverySheet, repository: SheetRepository): string[] {
  const { name, url, keyId, recipients, hosts } = repository;
  const sources = sheet.sources.filter((source) => source.repositories.includes(name)).map((source) => source.name);
  const isBucket = url.startsWith("s3://");
  const where = `--repository ${url}${repository.endpoint === null ? "" : ` --endpoint ${repository.endpoint}`}${repository.region === null ? "" : ` --region ${repository.region}`}`;
  return [
    `Repository ${name}`,
    `  address       ${url}${repository.endpoint === null ? "" : `, at ${repository.endpoint}`}`,
    `  key           ${keyId}`,
    "  opened by     one of these; any one is enough",
    ...recipients.map(
      ({ label, kind, recipient, keptAt }) =>
        `    ${label}: ${kind === "passphrase" ? "a passphrase" : `the age key of ${recipient}`}; kept at: ${keptAt ?? "nobody has said where"}`,
    ),
    `  holds         ${sources.length === 0 ? "no source of this inventory" : sources.join(", ")}`,
    "  With Holdfast, on an empty machine with PostgreSQL of the same major version:",
    ...(isBucket ? ["    export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…   (credentials that may read the bucket)"] : []),
    "    export HOLDFAST_KEY=…   (the passphrase, or AGE-SECRET-KEY-1…)",
    ...(sources.length === 0 ? [""] : sources).map((source) => `    holdfast restore ${source === "" ? "" : `${source} `}${where} --to latest --target /srv/restored`),
    `  Without Holdfast: python3 manual-restore.py ${isBucket ? "/a/copy/of/it" : url.slice("file://".length)} /srv/restored   (with holdfast_format.py beside it; docs/manual-restore.md)`,
    "  hosts that may write, and on which host each was admitted",
    ...hosts.map(
      ({ name: host, fingerprint, admittedAt, admittedBy, expelledAt }) =>
        `    ${host} ${fingerprint.slice(0, 16)}, ${admittedAt.slice(0, 10)}, ${admittedBy === null ? "not noted" : admittedBy === fingerprint ? "by itself, with a key" : `on ${nameOf(hosts, admittedBy)}`}${expelledAt === null ? "" : `; expelled ${expelledAt.slice(0, 10)}`}`,
    ),
  ];
}

function nameOf(hosts: SheetRepository["hosts"], fingerprint: string): string {
  return hosts.find((host) => host.fingerprint === fingerprint)?.name ?? fingerprint.slice(0, 16);
}
