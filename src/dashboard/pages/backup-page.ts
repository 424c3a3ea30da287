import { listVerified } from "../../catalog/verified.ts";
import { readSnapshot } from "../../catalog/snapshots.ts";
import { html } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import { bytes, count, duration, NONE, time } from "../../compliance/report-format.ts";
import { facts, outcomeBadge, table } from "../../compliance/report-parts.ts";
import type { SourceInfo } from "../../domain/source-info.ts";
import { chainChart } from "../charts/chain-chart.ts";
import { markLegend } from "../charts/recovery-chart.ts";
import { lockTime } from "../figures.ts";
import { linkTo, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { PageProblem, sourceOf } from "../view.ts";
import type { PageQuery, View } from "../view.ts";

type Backup = SourceInfo["backups"][number];

export function backupPage(view: View, params: PageQuery): Page {
  const source = sourceOf(view, params["name"] ?? "");
  const all = readSnapshot(view.facts.catalog, source.name)?.info.backups ?? [];
  const backup = all.find(({ id }) => id === params["id"]);
  if (backup === undefined) throw new PageProblem(404, "There is no backup of that id. It may have expired: its run is still among the runs.");
  return {
    title: backup.id,
    trail: [
      { path: pathTo.overview, name: "Overview" },
      { path: pathTo.source(source.name), name: source.name },
    ],
    live: html`${figures(backup)} ${copies(view, source.name, backup)} ${chain(source.name, backup, all)} ${wayBack(source.name, backup)}`,
  };
}

function figures(backup: Backup): Html {
  return facts([
    ["Type", backup.type],
    ["State", html`${outcomeBadge(backup.state)}${backup.corruptPages > 0 ? html` ${count(backup.corruptPages)} corrupt pages` : ""}`],
    ["Started", time(backup.startedAt)],
    ["Finished", time(backup.finishedAt)],
    ["Took", duration(backup.durationSeconds)],
    ["Size of the source", bytes(backup.sourceBytes)],
    ["Read", bytes(backup.readBytes)],
    ["Stored", bytes(backup.storedBytes)],
    ["WAL from", backup.startLsn === null ? NONE : html`<code class="short">${backup.startLsn}</code>`],
    ["WAL to", backup.stopLsn === null ? NONE : html`<code class="short">${backup.stopLsn}</code>`],
    ["What changed was known from", `${backup.changeSource.replaceAll("-", " ")}: ${backup.changeSourceReason}`],
    ["Expires", backup.expiresAt === null ? (backup.heldBy.length > 0 ? "held for dependents" : NONE) : time(backup.expiresAt)],
  ]);
}

function copies(view: View, source: string, backup: Backup): Html {
  const verified = new Map(
    listVerified(view.facts.catalog, source)
      .filter((row) => row.backup === backup.id)
      .map((row) => [row.repository, row]),
  );
  return html`<section>
    <h2>Copies</h2>
    ${table({
      caption: "Where it is, and how deep each copy was verified",
      columns: ["Repository", "State", "Verified to tier", "At", "Locked until", "Trouble"],
      rows: backup.copies.map((copy) => {
        const last = verified.get(copy.repository);
        return [
          copy.repository,
          outcomeBadge(copy.state),
          last?.tier ?? copy.verifiedTier ?? html`<span class="unknown">never verified</span>`,
          time(last?.at ?? copy.verifiedAt),
          lockTime(copy.lockedUntil ?? null, view.now),
          copy.error ?? NONE,
        ];
      }),
      empty: "there is none",
    })}
  </section>`;
}

/** Itself, what it was made from, and what was made from it. */
function chain(source: string, backup: Backup, all: readonly Backup[]): Html {
  const byId = new Map(all.map((each) => [each.id, each]));
  const ancestors = ancestorsOf(backup, byId);
  const dependents = all.filter((each) => ancestorsOf(each, byId).includes(backup));
  const members = [...ancestors, backup, ...dependents];
  return html`<section>
    <h2>Chain</h2>
    <figure>${chainChart(source, members.slice(0, MOST_MEMBERS))}${markLegend()}</figure>
    ${table({
      caption: "Backups that belong together",
      columns: ["Backup", "Type", "Made from", "Is", "Stored#"],
      rows: members.map((each) => [
        each === backup ? html`<code>${each.id}</code>` : linkTo(pathTo.backup(source, each.id), html`<code>${each.id}</code>`),
        each.type,
        each.parentId === null ? NONE : html`<code>${each.parentId}</code>`,
        each === backup ? "this one" : ancestors.includes(each) ? "needed to restore this one" : "needs this one",
        bytes(each.storedBytes),
      ]),
      empty: "none",
    })}
  </section>`;
}

const MOST_MEMBERS = 40;

/** Oldest first. A parent that is gone ends the list; one that is its own ancestor (nobody writes such a thing) too. */
function ancestorsOf(backup: Backup, byId: ReadonlyMap<string, Backup>): Backup[] {
  const found: Backup[] = [];
  for (let parent = byId.get(backup.parentId ?? ""); parent !== undefined && !found.includes(parent); parent = byId.get(parent.parentId ?? "")) found.unshift(parent);
  return found;
}

function wayBack(source: string, { id }: Backup): Html {
  return html`<section>
    <h2>Restore it</h2>
    <p>To the moment this backup ended; <code>--plan</code> shows what would be done, and touches nothing.</p>
    <pre tabindex="0"><code>holdfast restore ${source} --backup ${id} --to immediate --target /srv/restored --plan</code></pre>
  </section>`;
}
