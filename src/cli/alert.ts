import { Command } from "commander";
import { acknowledgeAlert } from "../alerts/acknowledge.ts";
import { listOpenAlerts, pageOfAlerts } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import { chooseSource } from "../operations/installation.ts";
import { recordEntry } from "../operations/record-run.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { formatTable } from "./table.ts";
import { whoAsks } from "./who-asks.ts";

interface ListOptions extends CommonOptions {
  readonly all?: boolean;
  readonly source?: string;
}

interface AckOptions extends CommonOptions {
  readonly reason?: string;
}

/** With --all: of years of alerts the newest. */
const MOST_LISTED = 1000;

export function alertCommand(): Command {
  return new Command("alert").description("what is wrong now, and who takes care of it").addCommand(listCommand()).addCommand(ackCommand());
}

function listCommand(): Command {
  return newCommand("list", "alerts that are not over, the worst first", "holdfast alert list")
    .option("--all", `those that are over too, the newest ${MOST_LISTED} first`)
    .option("--source <name>", "only of this source")
    .action(async (options: ListOptions) =>
      perform(options, async (tools) => {
        const alerts = await list(options, tools);
        tools.output.result({ alerts }, () => describe(alerts));
        return 0;
      }),
    );
}

async function list({ all, source }: ListOptions, { openApp }: Tools): Promise<Alert[]> {
  const { catalog, inventory } = await openApp();
  const name = source === undefined ? null : chooseSource(inventory, source).name;
  return all === true ? pageOfAlerts(catalog, { source: name, severity: null, state: null, limit: MOST_LISTED, offset: 0 }) : listOpenAlerts(catalog, name);
}

function ackCommand(): Command {
  return newCommand("ack", "take care of an alert: it is on record, and stays until it is over", "holdfast alert ack 20261127T234512Z-3f9a2c81 --reason 'disk is being replaced'")
    .argument("<id>", "as 'holdfast alert list' shows it")
    .option("--reason <text>", "for those who ask later")
    .action(async (id: string, options: AckOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const acknowledgement = { id, by: whoAsks(), reason: options.reason ?? null };
        const alert = await acknowledgeAlert(app.catalog, acknowledgement, (kind, facts) => recordEntry(app.journal, kind, facts));
        await app.journal.copyToRepositories();
        output.result(alert, () => `${alert.title}: acknowledged by ${alert.acknowledgedBy ?? "somebody"} at ${alert.acknowledgedAt ?? ""}\n`);
        return 0;
      }),
    );
}

function describe(alerts: readonly Alert[]): string {
  if (alerts.length === 0) return "no alerts\n";
  const rows = alerts.map(({ id, severity, state, raisedAt, title, detail }) => [id, severity, state, raisedAt, detail === null ? title : `${title} (${detail})`]);
  const advice = alerts.filter(({ state }) => state === "open").map(({ severity, title, whatToDo }) => `  ${severity} ${title}\n     ${whatToDo}\n`);
  return `${formatTable(["id", "severity", "state", "raised", "what"], rows)}${advice.join("")}`;
}
