import { describe, inject, test } from "vitest";
import { NOT_RUN } from "./not-run.ts";
import type { ClientTool, Contrib, PostgresBinaries } from "./postgres-binaries.ts";
import type { AskedMajor } from "./postgres-setup.ts";

/** What a suite needs from PostgreSQL. Without it, it is skipped, and the closing lines of `npm test` say why. */
export interface Needs {
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly contrib?: readonly Contrib[];
  readonly clientTools?: readonly ClientTool[];
}

/** The suite once for each major version asked for that satisfies its needs. */
export function describeEachPostgres(name: string, needs: Needs, body: (binaries: PostgresBinaries) => void): void {
  const wanted = inject("postgres").filter(({ major }) => major >= (needs.atLeast ?? 0) && major <= (needs.atMost ?? Number.MAX_SAFE_INTEGER));
  if (wanted.length === 0) skipped(name, `of the PostgreSQL versions asked for (${askedFor()}), none is ${range(needs)}`);
  for (const asked of wanted) register(`PostgreSQL ${asked.major}: ${name}`, asked, needs, body);
}

/** The suite once, on the newest version that satisfies its needs. */
export function describePostgres(name: string, needs: Needs, body: (binaries: PostgresBinaries) => void): void {
  const newestFirst = inject("postgres").toSorted((a, b) => b.major - a.major);
  const inRange = newestFirst.filter(({ major }) => major >= (needs.atLeast ?? 0) && major <= (needs.atMost ?? Number.MAX_SAFE_INTEGER));
  const asked = inRange.find((candidate) => lacks(candidate, needs) === null) ?? inRange[0];
  if (asked === undefined) skipped(name, `of the PostgreSQL versions asked for (${askedFor()}), none is ${range(needs)}`);
  else register(name, asked, needs, body);
}

function register(name: string, asked: AskedMajor, needs: Needs, body: (binaries: PostgresBinaries) => void): void {
  const reason = lacks(asked, needs);
  if (reason !== null) skipped(name, reason);
  else if (asked.binaries !== null) {
    const { binaries } = asked;
    describe(name, () => body(binaries));
  }
}

/** What is missing, or null. */
function lacks({ binaries, reason }: AskedMajor, needs: Needs): string | null {
  if (binaries === null) return reason;
  const absent = [...(needs.contrib ?? []).filter((name) => !binaries.contrib.includes(name)), ...(needs.clientTools ?? []).filter((name) => !binaries.clientTools.includes(name))];
  return absent.length === 0 ? null : `PostgreSQL ${binaries.version} here (${binaries.origin}) comes without ${absent.join(", ")}`;
}

function skipped(name: string, reason: string): void {
  describe(name, () => {
    test.skip(`${NOT_RUN}${reason}`);
  });
}

function askedFor(): string {
  return inject("postgres")
    .map(({ major }) => major)
    .join(", ");
}

function range({ atLeast, atMost }: Needs): string {
  return [atLeast === undefined ? "" : `${atLeast} or newer`, atMost === undefined ? "" : `${atMost} or older`].filter((text) => text !== "").join(" and ");
}
