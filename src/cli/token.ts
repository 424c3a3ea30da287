import { Command, Option } from "commander";
import { whyNotInForce } from "../access/authenticate.ts";
import { parseScope, ROLES } from "../domain/access.ts";
import type { Role, Scope } from "../domain/access.ts";
import type { TokenRecord } from "../catalog/tokens.ts";
import { listTokens } from "../catalog/tokens.ts";
import { parseDuration } from "../domain/duration.ts";
import { HoldfastError } from "../errors.ts";
import { addToken, revokeToken } from "../operations/tokens.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { formatTable } from "./table.ts";
import { whoAsks } from "./who-asks.ts";

interface AddOptions extends CommonOptions {
  readonly role: Role;
  readonly name?: string;
  readonly sources?: string;
  readonly expires?: string;
}

export function tokenCommand(): Command {
  return new Command("token").description("who may use the API").addCommand(addCommand()).addCommand(listCommand()).addCommand(revokeCommand());
}

function addCommand(): Command {
  return newCommand(
    "add",
    "make a token for the API of this host; it is shown once",
    "holdfast token add --role viewer --name wallboard --sources orders,team=payments --expires 90d",
  )
    .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
    .option("--name <name>", "what the audit log calls it")
    .option("--sources <list>", "only these sources: names, and label=value, separated by commas (default: all)")
    .option("--expires <duration>", "after which it opens nothing any more, such as 90d (default: when it is revoked)")
    .action(async (options: AddOptions) =>
      perform(options, async ({ output, openApp }) => {
        const wish = { role: options.role, name: nameOf(options.name), scope: scopeOf(options.sources), expiresAfterSeconds: lifeOf(options.expires), by: whoAsks() };
        const app = await openApp();
        const unknown = (wish.scope ?? []).filter((term) => !term.includes("=") && !app.inventory.sources.has(term));
        if (unknown.length > 0)
          throw new HoldfastError("HF-USAGE", `there is no source ${unknown.map((name) => JSON.stringify(name)).join(", ")}`, {
            hint: `choose of: ${[...app.inventory.sources.keys()].join(", ")}`,
          });
        const { token, record } = await addToken(app.journal, wish);
        output.result({ ...view(record, app.clock.now()), token }, () => `${token}\n`);
        if (!output.json) output.notice("keep it now: only its digest is kept here, and it cannot be shown again");
        return 0;
      }),
    );
}

function listCommand(): Command {
  return newCommand("list", "the tokens of this host, in force or not", "holdfast token list").action(async (options: CommonOptions) =>
    perform(options, async ({ output, openApp }) => {
      const app = await openApp();
      const tokens = listTokens(app.catalog, app.journal.evidence.writer).map((record) => view(record, app.clock.now()));
      output.result({ tokens }, () =>
        tokens.length === 0
          ? "there are no tokens: holdfast token add --role viewer\n"
          : formatTable(
              ["id", "name", "role", "sources", "state", "expires"],
              tokens.map(({ id, name, role, sources, state, expiresAt }) => [id, name, role, sources?.join(",") ?? "all", state, expiresAt ?? "never"]),
            ),
      );
      return 0;
    }),
  );
}

function revokeCommand(): Command {
  return newCommand("revoke", "end a token, at once", "holdfast token revoke wallboard")
    .argument("<token>", "its id or its name; never the token itself")
    .action(async (wanted: string, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        if (wanted.startsWith("hf_"))
          throw new HoldfastError("HF-USAGE", "name the token by its id or its name, not by itself", { hint: "others may read what is typed: see 'holdfast token list'" });
        const app = await openApp();
        const record = await revokeToken(app.journal, { wanted, by: whoAsks() });
        output.result(view(record, app.clock.now()), () => `${record.name} (${record.id}) is revoked since ${record.revokedAt}\n`);
        return 0;
      }),
    );
}

interface TokenView extends Pick<TokenRecord, "id" | "name" | "role" | "addedAt" | "addedBy" | "expiresAt" | "revokedAt"> {
  readonly sources: Scope;
  readonly state: "in_force" | "expired" | "revoked";
}

/** Without the digest: it is nobody's business. */
function view({ id, name, role, scope, addedAt, addedBy, expiresAt, revokedAt }: TokenRecord, now: Date): TokenView {
  return { id, name, role, sources: scope, state: whyNotInForce({ revokedAt, expiresAt }, now) ?? "in_force", addedAt, addedBy, expiresAt, revokedAt };
}

function nameOf(written: string | undefined): string | null {
  if (written === undefined || /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,62}$/u.test(written)) return written ?? null;
  throw new HoldfastError("HF-USAGE", "--name is no name for a token", { hint: "letters, digits, spaces and . _ @ -, at most 63" });
}

function scopeOf(written: string | undefined): Scope {
  if (written === undefined) return null;
  const scope = parseScope(written);
  if (scope !== null) return scope;
  throw new HoldfastError("HF-USAGE", "--sources is no list of sources", { hint: "names and label=value, separated by commas: orders,team=payments" });
}

function lifeOf(written: string | undefined): number | null {
  if (written === undefined) return null;
  const seconds = parseDuration(written);
  if (seconds !== null) return seconds;
  throw new HoldfastError("HF-USAGE", "--expires is no duration", { hint: "a whole number and a unit: 12h, 90d, 52w" });
}
