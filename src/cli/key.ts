import { Command } from "commander";
import { resolveSecret } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import { addRecipient, removeRecipient, requireLabel } from "../operations/keys/change-recipients.ts";
import { chooseRepository } from "../operations/keys/key-change.ts";
import { listKeys } from "../operations/keys/list-keys.ts";
import type { KeyListing } from "../operations/keys/list-keys.ts";
import { rotate } from "../operations/keys/rotate.ts";
import type { Opener } from "../repository/key-envelopes.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { adminCommand, administer } from "./administer.ts";
import { findOrMakePassphrase, placeOf, requireSecretRef } from "./passphrase.ts";
import { admitCommand, expelCommand, hostsCommand, requestCommand } from "./key-hosts.ts";

export function keyCommand(): Command {
  const command = new Command("key").description("who can open a repository, and who may write in it");
  for (const child of [listCommand(), addCommand(), removeCommand(), rotateCommand(), hostsCommand(), requestCommand(), admitCommand(), expelCommand()]) command.addCommand(child);
  return command;
}

function listCommand(): Command {
  return newCommand("list", "who can open a repository", "holdfast key list onsite")
    .argument("[repository]", "which repository (may be left out where there is one)")
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const listing = await listKeys(await app.repository(chooseRepository(app.inventory, name).name));
        output.result(listing, () => describe(listing));
        return 0;
      }),
    );
}

function describe({ repository, keyId, recipient, keys, recipients }: KeyListing): string {
  const lines = recipients.map(
    ({ label, kind, recipient: key, keptAt, addedAt, whole }) =>
      `  ${label}: ${kind === "passphrase" ? "a passphrase" : key}, since ${addedAt.slice(0, 10)}${keptAt === null ? "" : `, kept at: ${keptAt}`}${whole ? "" : "  DAMAGED: it opens nothing"}`,
  );
  const former =
    keys.length === 1
      ? []
      : [
          `  before it: ${keys
            .slice(0, -1)
            .map((key) => `${key.keyId} (from ${key.createdAt.slice(0, 10)})`)
            .join(", ")}`,
        ];
  return `${[`${repository}, key ${keyId}`, ...former, `  recipient, for hosts that only write: ${recipient}`, "who can open it:", ...lines].join("\n")}\n`;
}

interface AddOptions extends CommonOptions {
  readonly recipient?: string;
  readonly passphrase?: string;
  readonly label?: string;
  readonly keptAt?: string;
}

function addCommand(): Command {
  return adminCommand("add", "let one more passphrase or age key open a repository", 'holdfast key add onsite --recipient age1… --label ann --kept-at "her hardware token"')
    .argument("[repository]", "which repository (may be left out where there is one)")
    .option("--recipient <age1…>", "the public half of an age key; nobody but its holder can use it")
    .option("--passphrase <reference>", "a passphrase: env:NAME or file:/path (a file that does not exist is made, with a good one)")
    .option("--label <name>", "what to call it (default: recipient or passphrase, with a number)")
    .option("--kept-at <words>", "where it is kept: for the recovery sheet")
    .action(async (name: string | undefined, options: AddOptions) =>
      perform(options, async ({ output, openApp }) => {
        if ((options.recipient === undefined) === (options.passphrase === undefined))
          throw new HoldfastError("HF-USAGE", "who shall open it?", { hint: "--recipient age1…, or --passphrase env:NAME or file:/path" });
        if (options.label !== undefined) requireLabel(options.label);
        const app = await openApp();
        const admin = await administer(app, name, options);
        const { opener, place } = await openerOf(options);
        const taken = new Set((await listKeys(admin.repository)).recipients.map(({ label }) => label));
        const label = options.label ?? freeLabel(opener.kind, taken);
        const added = await addRecipient(app, admin, { label, keptAt: options.keptAt ?? place, opener });
        const result = { repository: admin.repository.name, keyId: admin.identity.keyId, label: added.label, kind: opener.kind, recipient: added.recipient, keptAt: added.keptAt };
        output.result(
          result,
          () =>
            `${added.label} can open ${admin.repository.name} from now on, and all that is in it${added.keptAt === null ? "" : `; kept at: ${added.keptAt}`}\n  Print the recovery sheet again: 'holdfast recovery-sheet'.\n`,
        );
        return 0;
      }),
    );
}

async function openerOf({ recipient, passphrase }: AddOptions): Promise<{ opener: Opener; place: string | null }> {
  if (recipient !== undefined) return { opener: { kind: "recipient", recipient }, place: null };
  const reference = requireSecretRef("--passphrase", passphrase ?? "");
  return { opener: { kind: "passphrase", passphrase: await findOrMakePassphrase(reference, "the new passphrase") }, place: placeOf(reference) };
}

function freeLabel(kind: Opener["kind"], taken: ReadonlySet<string>): string {
  for (let n = 2; ; n++) if (!taken.has(`${kind}-${n}`)) return `${kind}-${n}`;
}

function removeCommand(): Command {
  return adminCommand("remove", "take a passphrase or age key away: it opens nothing that is written after the next 'key rotate'", "holdfast key remove ann")
    .argument("<label>", "which, as 'key list' calls it")
    .argument("[repository]", "which repository (may be left out where there is one)")
    .action(async (label: string, name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const admin = await administer(app, name, options);
        await removeRecipient(app, admin, label);
        output.result({ repository: admin.repository.name, keyId: admin.identity.keyId, removed: label }, () =>
          [
            `${label} was taken away from ${admin.repository.name}`,
            "  Whoever used it may have kept the key itself: that opens everything written so far, for ever, and what is written from now on too,",
            "  until 'holdfast key rotate' puts a new key in its place.",
            "",
          ].join("\n"),
        );
        return 0;
      }),
    );
}

function rotateCommand(): Command {
  return adminCommand("rotate", "put a new key in the place of the one there is: for what is written from now on", "holdfast key rotate onsite")
    .argument("[repository]", "which repository (may be left out where there is one)")
    .option(
      "--passphrase <reference>",
      "the passphrase of another recipient, who gets the new key too: env:NAME or file:/path (repeatable)",
      (value: string, all: string[] | undefined) => [...(all ?? []), value],
    )
    .action(async (name: string | undefined, options: CommonOptions & { passphrase?: string[] }) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const references = (options.passphrase ?? []).map((text) => requireSecretRef("--passphrase", text));
        const passphrases = await Promise.all(references.map(async (reference) => resolveSecret(reference, "a passphrase")));
        const result = await rotate(app, await administer(app, name, options), passphrases);
        output.result(result, () =>
          [
            `${result.repository} has a new key: ${result.keyId} (before: ${result.from})`,
            `  It is opened by ${result.recipients.join(", ")}. It opens all that was written before, too.`,
            "  What was written before stays readable to whoever had the old key; what is written from now on is not. No data was touched.",
            "  A WAL stream that runs takes the new key within the hour; start it anew to have it at once.",
            "  Print the recovery sheet again: 'holdfast recovery-sheet'.",
            `  Hosts that only write follow by themselves; where one is set up anew: encryption: { recipient: ${result.recipient} }`,
            "",
          ].join("\n"),
        );
        return 0;
      }),
    );
}
