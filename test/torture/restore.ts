import { rm } from "node:fs/promises";
import type { Lsn } from "../../src/domain/lsn.ts";
import { formatLsn, lsn } from "../../src/domain/lsn.ts";
import { startOnFolder } from "../support/cluster.ts";
import { assertSound } from "../support/oracle.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { tornWrites, writtenIn } from "../support/writer.ts";
import { crashIn } from "./plan.ts";
import type { CrashOrder } from "./plan.ts";
import { Mismatch } from "./stage.ts";
import type { Stage } from "./stage.ts";
import { contentsOf, describePlace, differences } from "./truth.ts";
import type { Contents, Place } from "./truth.ts";

/** A point to come back to, how to ask for it, and what must be there. */
interface Point {
  readonly kind: string;
  readonly place: Place;
  readonly args: readonly string[];
  /** Null: only the writer's promises are known. */
  readonly contents: Contents | null;
}

/** Restores with the real command; where that is killed on the way, once more into the same folder. Killed at its very end it has done all that was to do. */
export async function restoreTo(stage: Stage, folder: string, args: readonly string[], crash: CrashOrder | null): Promise<void> {
  // At the source's own place, its tablespace is at its own too.
  const places = folder === stage.source.dataDirectory ? [] : ["--tablespace", `${stage.tablespace}=${folder}-space1`];
  const whole = ["restore", ...args, "--target", folder, ...places, "--json"];
  if (crash !== null) {
    const died = await stage.dies(crash, ...whole);
    stage.tell(died ? `restore died at ${crash.point}` : "restore did not die");
    if (!died || crash.point === "restore.before-done") return;
  }
  await stage.must(...whole);
}

/** Restores some of the points that can be reached, and holds each against what is known of it. */
export async function judgePoints(stage: Stage, last: Contents): Promise<void> {
  let folder: string | null = null;
  for (const point of choosePoints(stage, last)) folder = await judge(stage, point, folder);
}

/** The folder it was restored to. */
async function judge(stage: Stage, point: Point, previous: string | null): Promise<string> {
  const { random, source, tally } = stage;
  const what = `${point.args.join(" ")} (${point.kind}, ${describePlace(point.place)})`;
  stage.tell(`restore ${what}`);
  // Over the one before, in which the oracle has written, or into an empty folder.
  const over = random.chance(DELTA) ? previous : null;
  if (previous !== null && over === null) await remove(previous);
  const folder = over ?? stage.newFolder("restored");
  const delta = over === null ? [] : ["--delta"];
  await restoreTo(stage, folder, [...point.args, ...delta], random.chance(RESTORE_CRASH) ? crashIn(random, "restore.") : null);
  {
    await using restored = await startOnFolder(folder, { binaries: source.binaries, leftRecovery: true });
    await hold(stage, point, restored, what);
    const report = await assertSound(restored.url(), { isRestored: true });
    if (report.tables < FEWEST_TABLES || report.indexes < FEWEST_TABLES)
      throw new Mismatch("oracle", `${what}: only ${report.tables} tables and ${report.indexes} indexes were looked at`);
  }
  tally.did(over === null ? "restore" : "restore --delta");
  tally.point(point.kind, point.place.timeline);
  return folder;
}

async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
  await rm(`${folder}-space1`, { recursive: true });
}

const RESTORE_CRASH = 0.35;
const DELTA = 0.4;
const FEWEST_TABLES = 10;

/** Contents first: the oracle changes what it looks at. */
async function hold({ truth }: Stage, { contents, place }: Point, restored: Cluster, what: string): Promise<void> {
  if (contents !== null) {
    const wrong = differences(await contentsOf(restored), contents);
    if (wrong.length > 0) throw new Mismatch("contents", `${what}: ${wrong.join("; ")}`);
  }
  await using session = await restored.connect();
  if ((await session.rows("select 1 from pg_class where relname = 'written'")).length === 0) return; // before the first writer
  const { missing, unexpected } = truth.broken(await writtenIn(session), place);
  if (missing.length + unexpected.length > 0)
    throw new Mismatch(
      "promises",
      `${what}: ${missing.length} writes are missing (${numbersOf(missing)}), ${unexpected.length} are there that must not be (${numbersOf(unexpected)})`,
    );
  const torn = await tornWrites(session);
  if (torn !== 0) throw new Mismatch("promises", `${what}: ${torn} writes are there in part`);
}

const numbersOf = (writes: readonly { sequence: number; from: Lsn }[]): string =>
  writes
    .slice(0, 5)
    .map(({ sequence, from }) => `${sequence} of ${formatLsn(from)}`)
    .join(", ");

/** Different kinds, and where there was a promotion both sides of it. */
function choosePoints(stage: Stage, last: Contents): Point[] {
  const { random, plan } = stage;
  const points = reachable(stage, last);
  const newest = Math.max(...points.map(({ place }) => place.timeline));
  const chosen: Point[] = [];
  const draw = (from: readonly Point[]): void => {
    const left = from.filter((point) => !chosen.includes(point));
    const kinds = [...new Set(left.map(({ kind }) => kind))];
    if (kinds.length === 0) return;
    const kind = random.pick(kinds);
    chosen.push(random.pick(left.filter((point) => point.kind === kind)));
  };
  if (newest > 1) {
    draw(points.filter(({ place }) => place.timeline === newest));
    draw(points.filter(({ place }) => place.timeline < newest));
  }
  while (chosen.length < Math.min(plan.restores, points.length)) draw(points);
  return chosen;
}

function reachable({ truth, random }: Stage, last: Contents): Point[] {
  const end = truth.moments.at(-1);
  if (end === undefined) throw new Mismatch("plan", "no moment was marked");
  const newest = end.timeline;
  const timelineOf = (place: Place): string[] => (place.timeline === newest && random.chance(0.5) ? [] : ["--timeline", String(place.timeline)]);
  const isReachable = (place: Place): boolean => truth.backups.some((backup) => truth.leadsThrough(place, backup));
  const moments = truth.moments.filter(isReachable).flatMap((moment): Point[] => {
    const { at, name, xid, contents } = moment;
    const of = (kind: string, ...args: string[]): Point => ({ kind, place: moment, args: [...args, ...timelineOf(moment)], contents });
    const exclusive = random.chance(0.5) ? ["--exclusive"] : [];
    return [
      of("commit LSN", "--to", `lsn:${formatLsn(moment.lsn)}`, ...exclusive),
      of("time", "--to", at),
      of("name", "--to", `name:${name}`),
      of("transaction", "--to", `xid:${xid}`),
    ];
  });
  const backups = truth.backups.map((backup): Point => ({
    kind: "backup stop",
    place: backup,
    args: ["--backup", backup.id, "--to", "immediate", ...timelineOf(backup)],
    contents: backup.contents,
  }));
  const writeAt = (place: Place): Point => ({ kind: "a write", place, args: ["--to", `lsn:${formatLsn(place.lsn)}`, "--exclusive", ...timelineOf(place)], contents: null });
  const writes = truth.reports.flatMap(({ timeline, report }): Point[] => {
    const sure = report.acknowledged.filter(({ to }) => to !== null && isReachable({ timeline, lsn: to }));
    return sure.length === 0 ? [] : [writeAt({ timeline, lsn: random.pick(sure).to ?? end.lsn })];
  });
  return [...moments, ...backups, ...writes, { kind: "latest", place: END_OF(newest), args: ["--to", "latest"], contents: last }];
}

const END_OF = (timeline: number): Place => ({ timeline, lsn: lsn(2n ** 64n - 1n) });
