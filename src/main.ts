import { Command, CommanderError } from "commander";
import { prepareProcess } from "./prepare-process.mjs";
import { VERSION } from "./version.ts";

/** Wrong use is exit 2; but PostgreSQL takes anything up to 125 from `wal get` for the end of WAL, so there it is 126. */
const EXIT = { wrongUse: 2, walGet: 126 } as const;

// Before anything else is imported, which is why commands are.
prepareProcess();

// Whoever read our output has seen enough (`| head`): what is under way goes on all the same.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

const program = new Command("holdfast")
  .description("Backup and disaster recovery for PostgreSQL: restored, replayed, checked, timed, signed.")
  .version(VERSION)
  .addHelpText(
    "after",
    "\nStart here:\n  holdfast init            write an inventory, make a repository and its key\n  holdfast check           see what would make a backup fail\n  holdfast backup          take one\n  holdfast drill           prove that it can be restored\n  holdfast serve           do all of it on schedule",
  );

/** In the order of help. A command's code, and the libraries it needs, are loaded when it is asked for: most of a short command's time would be spent on loading the others. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import("./cli/init.ts")).initCommand(),
  check: async () => (await import("./cli/check.ts")).checkCommand(),
  status: async () => (await import("./cli/status.ts")).statusCommand(),
  policy: async () => (await import("./cli/policy.ts")).policyCommand(),
  backup: async () => (await import("./cli/backup.ts")).backupCommand(),
  wal: async () => (await import("./cli/wal.ts")).walCommand(),
  key: async () => (await import("./cli/key.ts")).keyCommand(),
  "recovery-sheet": async () => (await import("./cli/recovery-sheet.ts")).recoverySheetCommand(),
  info: async () => (await import("./cli/info.ts")).infoCommand(),
  verify: async () => (await import("./cli/verify.ts")).verifyCommand(),
  restore: async () => (await import("./cli/restore.ts")).restoreCommand(),
  drill: async () => (await import("./cli/drill.ts")).drillCommand(),
  source: async () => (await import("./cli/source.ts")).sourceCommand(),
  recover: async () => (await import("./cli/recover.ts")).recoverCommand(),
  copy: async () => (await import("./cli/copy.ts")).copyCommand(),
  expire: async () => (await import("./cli/expire.ts")).expireCommand(),
  pause: async () => (await import("./cli/pause.ts")).pauseCommand(),
  resume: async () => (await import("./cli/pause.ts")).resumeCommand(),
  pin: async () => (await import("./cli/pin.ts")).pinCommand(),
  unpin: async () => (await import("./cli/pin.ts")).unpinCommand(),
  hold: async () => (await import("./cli/hold.ts")).holdCommand(),
  release: async () => (await import("./cli/hold.ts")).releaseCommand(),
  report: async () => (await import("./cli/report.ts")).reportCommand(),
  evidence: async () => (await import("./cli/evidence.ts")).evidenceCommand(),
  alert: async () => (await import("./cli/alert.ts")).alertCommand(),
  catalog: async () => (await import("./cli/catalog.ts")).catalogCommand(),
  token: async () => (await import("./cli/token.ts")).tokenCommand(),
  serve: async () => (await import("./cli/serve.ts")).serveCommand(),
};
const loads = commandsFor(process.argv[2] ?? "");
// Compiling a schema pays from thousands of documents on: a command reads a few.
if (loads.length > 0) (await import("zod")).z.config({ jitless: true });
for (const load of loads) program.addCommand(await load());
strict(program);

const isWalGet = process.argv[2] === "wal" && process.argv[3] === "get";

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode !== 0) {
    process.exitCode = isWalGet ? EXIT.walGet : EXIT.wrongUse;
    if (process.argv.includes("--json"))
      process.stdout.write(
        `${JSON.stringify({ error: { code: "HF-USAGE", message: error.message.replace(/^error: /, ""), hint: "--help shows how it is used", facts: {} } }, null, 2)}\n`,
      );
  }
}

/** The one command that is asked for; none to tell the version; all of them where help may be asked for. */
function commandsFor(asked: string): readonly (() => Promise<Command>)[] {
  const command = Object.hasOwn(COMMANDS, asked) ? COMMANDS[asked] : undefined;
  if (command !== undefined) return [command];
  return asked === "--version" || asked === "-V" ? [] : Object.values(COMMANDS);
}

/** Errors of parsing come to us instead of ending the process, in every subcommand. */
function strict(command: Command): void {
  command.exitOverride().configureOutput({
    outputError: (text, write) =>
      write(
        `error[HF-USAGE]: ${text
          .replace(/^error: /, "")
          .trimEnd()
          .replaceAll("\n", " ")}\nhint: --help shows how it is used\n`,
      ),
  });
  for (const child of command.commands) strict(child);
}
