import { BY_HOUR_MS, mergeSpans, spansOf, SPAN_STEPS_MS } from "../domain/exposure-spans.ts";
import type { ExposureSpan } from "../domain/exposure-spans.ts";
import { isoTime } from "../domain/iso-time.ts";
import type { Catalog } from "./catalog.ts";
import { numberOrNull, timeOf, timeOrNull, timeValue } from "./catalog.ts";

/** Old samples of exposure, merged. See domain/exposure-spans.ts for what that keeps. */
interface CopyOf {
  readonly source: string;
  readonly repository: string;
}

/** Spans are kept this long: seven years, which is what the longest retention rules ask for. */
const KEEP_DAYS = 7 * 366;

/** How many samples of a copy are merged in one transaction: others want to write too. */
const SAMPLES_AT_ONCE = 5000;

/** Merges what is old enough of one copy: samples from before `fullSince` by the hour, and spans that are weeks old by the day. */
export function thinSamples(catalog: Catalog, copy: CopyOf, { now, fullSince, objectiveSeconds }: { now: Date; fullSince: Date; objectiveSeconds: number }): void {
  while (thinSome(catalog, copy, fullSince.getTime(), objectiveSeconds));
  catalog.transaction(() => {
    thinSpans(catalog, copy, now, objectiveSeconds);
    catalog.run("delete from exposure_spans where source = :source and repository = :repository and at < :before", {
      ...copy,
      before: now.getTime() - KEEP_DAYS * 86_400_000,
    });
  });
}

/** True while there is more to do. */
function thinSome(catalog: Catalog, copy: CopyOf, before: number, objectiveSeconds: number): boolean {
  return catalog.transaction(() => {
    const rows = catalog.all("select at, seconds, bytes from exposure where source = :source and repository = :repository and at < :before order by at limit :limit", {
      ...copy,
      before,
      limit: SAMPLES_AT_ONCE,
    });
    const samples = rows.map((row) => ({ at: timeOf(row, "at"), seconds: numberOrNull(row, "seconds"), bytes: numberOrNull(row, "bytes") }));
    const last = samples.at(-1);
    if (last === undefined) return false;
    const [next] = catalog.all("select min(at) as at from exposure where source = :source and repository = :repository and at > :last", { ...copy, last: timeValue(last.at) });
    const nextAt = next === undefined ? null : timeOrNull(next, "at");
    const newest = newestSpan(catalog, copy);
    const fresh = spansOf(samples, { before: newest?.until ?? null, next: nextAt, objectiveSeconds });
    const spans = mergeSpans([...(newest === null ? [] : [newest]), ...fresh], SPAN_STEPS_MS.hour, objectiveSeconds);
    for (const span of spans) writeSpan(catalog, copy, span);
    catalog.run("delete from exposure where source = :source and repository = :repository and at <= :last", { ...copy, last: timeValue(last.at) });
    return rows.length === SAMPLES_AT_ONCE;
  });
}

/** Spans of whole days that are older than the hours that are kept. Looked at a few days at a time: what was merged before stays as it is. */
function thinSpans(catalog: Catalog, copy: CopyOf, now: Date, objectiveSeconds: number): void {
  const until = new Date(Math.floor((now.getTime() - BY_HOUR_MS) / SPAN_STEPS_MS.day) * SPAN_STEPS_MS.day).toISOString();
  const from = new Date(Date.parse(until) - LOOK_BACK_DAYS * SPAN_STEPS_MS.day).toISOString();
  const spans = readSpans(catalog, copy, from, until).filter(({ at }) => at >= from);
  const merged = mergeSpans(spans, SPAN_STEPS_MS.day, objectiveSeconds);
  if (merged.length === spans.length) return;
  catalog.run("delete from exposure_spans where source = :source and repository = :repository and at >= :from and at < :until", {
    ...copy,
    from: timeValue(from),
    until: timeValue(until),
  });
  for (const span of merged) writeSpan(catalog, copy, span);
}

/** Longer than any stop between two times that thinning runs need be; what was stopped longer stays by the hour. */
const LOOK_BACK_DAYS = 15;

function newestSpan(catalog: Catalog, copy: CopyOf): ExposureSpan | null {
  const [row] = catalog.all("select * from exposure_spans where source = :source and repository = :repository order by at desc limit 1", { ...copy });
  return row === undefined ? null : spanOf(row);
}

function writeSpan(catalog: Catalog, copy: CopyOf, span: ExposureSpan): void {
  catalog.run(
    `insert into exposure_spans (source, repository, at, until, seconds, bytes, samples) values (:source, :repository, :at, :until, :seconds, :bytes, :samples)
     on conflict do update set until = excluded.until, seconds = excluded.seconds, bytes = excluded.bytes, samples = excluded.samples`,
    { ...copy, ...span, at: timeValue(span.at), until: timeValue(span.until) },
  );
}

/** Spans of one copy that reach into [from, to), in order of time. */
export function readSpans(catalog: Catalog, copy: CopyOf, from: string, to: string): ExposureSpan[] {
  // None is longer than a day.
  const near = timeValue(from) - SPAN_STEPS_MS.day;
  return catalog
    .lists(
      "select at, until, seconds, bytes, samples from exposure_spans where source = :source and repository = :repository and at >= :near and at < :to and until > :from order by at",
      {
        ...copy,
        near,
        from: timeValue(from),
        to: timeValue(to),
      },
    )
    .map(([at, until, seconds, bytes, samples]) => ({
      at: isoTime(Number(at)),
      until: isoTime(Number(until)),
      seconds: Number(seconds),
      bytes: typeof bytes === "number" ? bytes : null,
      samples: Number(samples ?? 1),
    }));
}

function spanOf(row: Parameters<typeof timeOf>[0]): ExposureSpan {
  return {
    at: timeOf(row, "at"),
    until: timeOf(row, "until"),
    seconds: numberOrNull(row, "seconds") ?? 0,
    bytes: numberOrNull(row, "bytes"),
    samples: numberOrNull(row, "samples") ?? 1,
  };
}
