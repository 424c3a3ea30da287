import { html, NOTHING } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { outcomeBadge } from "../../compliance/report-parts.ts";
import type { SourceSummary } from "../../domain/source-summary.ts";

interface Step {
  readonly done: boolean;
  readonly what: string;
  readonly why: string;
  readonly commands: readonly string[];
}

/** Until one source has been proven: the three steps there, and which are done. */
export function firstSteps(all: readonly SourceSummary[]): Html {
  if (all.some(({ lastProvenAt }) => lastProvenAt !== null)) return NOTHING;
  const steps = stepsFor(all);
  const next = steps.findIndex(({ done }) => !done);
  return html`<section class="first" aria-labelledby="first-steps">
    <h2 id="first-steps">Three steps to a database that can be recovered</h2>
    <ol>
      ${steps.map(
        ({ done, what, why, commands }, index) =>
          html`<li class="${done ? "done" : index === next ? "next" : "later"}">
            <h3>${what}${done ? html` ${outcomeBadge("done")}` : ""}</h3>
            <p>${why}</p>
            ${done ? NOTHING : commands.map((command) => html`<pre tabindex="0"><code>${command}</code></pre>`)}
          </li>`,
      )}
    </ol>
  </section>`;
}

function stepsFor(all: readonly SourceSummary[]): Step[] {
  const name = all[0]?.name ?? "orders";
  return [
    {
      done: all.length > 0,
      what: "Say what to protect",
      why: "An inventory names the cluster, where backups go, and the policy. What is missing on the server is said by the check.",
      commands: [`holdfast init --source ${name} --connection env:ORDERS_URL --repository file:///srv/holdfast`, "holdfast check"],
    },
    {
      done: all.some(({ backups }) => (backups ?? 0) > 0),
      what: "Make the first backup",
      why: "A full one. From then on the log is kept, and any moment can be brought back.",
      commands: [`holdfast backup ${name} --type full`],
    },
    {
      done: false,
      what: "Prove it",
      why: "A drill restores it into a scratch cluster, starts it, replays to the promised commit, and checks. Only this shows that it works.",
      commands: [`holdfast drill ${name}`],
    },
  ];
}
