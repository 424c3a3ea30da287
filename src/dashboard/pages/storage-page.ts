import { recentCapacity } from "../../catalog/capacity.ts";
import { html } from "../../compliance/html.ts";
import type { Html, HtmlValue } from "../../compliance/html.ts";
import { bytes, count, NONE, time, UNKNOWN } from "../../compliance/report-format.ts";
import { table } from "../../compliance/report-parts.ts";
import { projectFull } from "../../domain/capacity.ts";
import type { FullProjection } from "../../domain/capacity.ts";
import { growthChart } from "../charts/growth-chart.ts";
import type { Level } from "../charts/growth-chart.ts";
import { filterForm, textField } from "../figures.ts";
import { linkTo, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import type { StoredBackup, StoredSource } from "../stored.ts";
import type { View } from "../view.ts";

const MOST_ROWS = 100;

/** What the backups that are there take up, and how that came to be. */
export async function storagePage(view: View): Promise<Page> {
  const words = (view.query["source"] ?? "").toLowerCase();
  const stored = (await view.facts.stored()).filter(({ name }) => view.sources.has(name) && name.toLowerCase().includes(words));
  const levels = levelsOf(stored.flatMap(({ backups }) => backups ?? []));
  const [first] = levels;
  return {
    title: "Storage",
    still: filterForm(pathTo.storage, textField("Source", "source", view.query["source"])),
    live: html`${
      first === undefined
        ? html`<p class="empty">There is no backup.</p>`
        : html`<section>
            <h2>Growth</h2>
            <figure>
              ${growthChart("Stored by the backups that are there now, by when each was made", levels, { from: first.at, to: view.now })}
              <figcaption>By when each backup that is there now was made. What has expired since is not in it, and neither is the log.</figcaption>
            </figure>
          </section>`
    }
    ${view.seesAll ? repositoryTable(view) : ""} ${sourceTable(stored)}`,
  };
}

/** A chart has no more pixels than that to show. */
const MOST_LEVELS = 400;

/** The sum after each backup, oldest first; of many, those that a chart can show. */
function levelsOf(backups: readonly StoredBackup[]): Level[] {
  let total = 0;
  const all = backups
    .toSorted((a, b) => (a.finishedAt < b.finishedAt ? -1 : 1))
    .map(({ finishedAt, storedInAll }) => {
      total += storedInAll;
      return { at: new Date(finishedAt), bytes: total };
    });
  const step = Math.ceil(all.length / MOST_LEVELS);
  return all.filter((_, index) => index % step === 0 || index === all.length - 1);
}

/** As last measured, and when it will be full if it goes on like this. */
function repositoryTable({ facts: { catalog, inventory }, now }: View): Html {
  const rows = [...inventory.repositories.values()].map((repository): HtmlValue[] => {
    const { name, site, maxBytes } = repository;
    const readings = recentCapacity(catalog, repository, now);
    const last = readings.at(-1);
    return [
      name,
      site ?? NONE,
      maxBytes === null ? bytes(last?.usedBytes ?? null) : html`${bytes(last?.usedBytes ?? null)} <span class="of">of ${bytes(maxBytes)}</span>`,
      last === undefined || last.freeBytes !== null ? bytes(last?.freeBytes ?? null) : html`<span class="none">it does not say</span>`,
      fullCell(projectFull(readings)),
      time(last?.at ?? null, html`never`),
    ];
  });
  return html`<section>
    <h2>Repositories</h2>
    ${table({ caption: "Everything in them, the log too", columns: ["Repository", "Site", "Used#", "Free#", "Full", "Measured"], rows, empty: "there is none" })}
  </section>`;
}

function fullCell(full: FullProjection): Html {
  switch (full.kind) {
    case "unknown":
      return html`<span class="none">unknown: ${full.reason}</span>`;
    case "not_in_sight":
      return html`<span class="none">not in sight</span>`;
    case "full":
      return html`${time(full.at.toISOString())} <span class="estimate">estimate</span>`;
  }
}

function sourceTable(stored: readonly StoredSource[]): Html {
  const rows = stored
    .map(({ name, backups }) => ({ name, backups, total: backups?.reduce((sum, { storedInAll }) => sum + storedInAll, 0) ?? null }))
    .toSorted((a, b) => (b.total ?? -1) - (a.total ?? -1));
  return html`<section>
    <h2>By source</h2>
    ${table({
      caption: rows.length > MOST_ROWS ? `The largest ${MOST_ROWS} of ${rows.length}` : "The largest first",
      columns: ["Source", "Stored in all copies#", "Backups#", "Newest: the cluster#", "Newest: stored#"],
      rows: rows.slice(0, MOST_ROWS).map(({ name, backups, total }): HtmlValue[] => {
        const newest = backups?.toSorted((a, b) => (a.finishedAt < b.finishedAt ? 1 : -1))[0];
        return [
          linkTo(pathTo.source(name), name),
          bytes(total),
          backups === null ? UNKNOWN : count(backups.length),
          bytes(newest?.sourceBytes ?? null),
          bytes(newest?.storedBytes ?? null),
        ];
      }),
      empty: "nothing is protected yet",
    })}
  </section>`;
}
