import { Command, CommanderError } from "commander";
import { backupCommand } from "./cli/backup.ts";
import { catalogCommand } from "./cli/catalog.ts";
import { checkCommand } from "./cli/check.ts";
import { drillCommand } from "./cli/drill.ts";
import { expireCommand } from "./cli/expire.ts";
import { infoCommand } from "./cli/info.ts";
import { initCommand } from "./cli/init.ts";
import { policyCommand } from "./cli/policy.ts";
import { restoreCommand } from "./cli/restore.ts";
import { statusCommand } from "./cli/status.ts";
import { verifyCommand } from "./cli/verify.ts";
import { walCommand } from "./cli/wal.ts";
import { VERSION } from "./version.ts";

/** Wrong use is exit 2; but PostgreSQL takes anything up to 125 from `wal get` for the end of WAL, so there it is 126. */
const EXIT = { wrongUse: 2, walGet: 126 } as const;

const program = new Command("holdfast")
  .description("Backup and disaster recovery for PostgreSQL: restored, replayed, checked, timed, signed.")
  .version(VERSION)
  .addHelpText(
    "after",
    "\nStart here:\n  holdfast init            write an inventory, make a repository and its key\n  holdfast check           see what would make a backup fail\n  holdfast backup          take one\n  holdfast drill           prove that it can be restored\n  holdfast serve           do all of it on schedule",
  );

const commands = [
  initCommand(),
  checkCommand(),
  statusCommand(),
  policyCommand(),
  backupCommand(),
  walCommand(),
  infoCommand(),
  verifyCommand(),
  restoreCommand(),
  drillCommand(),
  expireCommand(),
  catalogCommand(),
];
for (const command of commands) program.addCommand(command);
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

/** Errors of parsing come to us instead of ending the process, in every subcommand. */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError("(--help shows how it is used)");
  for (const child of command.commands) strict(child);
}
