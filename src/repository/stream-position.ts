import { z } from "zod";
import { lsnText, timeText } from "./fields.ts";

/** How far a stream had come on a timeline of a cluster. */
const reported = { systemIdentifier: z.string(), timeline: z.number(), lsn: lsnText };

/** What a WAL stream reported durable, and the server's clock then. `left`: how far it had come on timelines (and of clusters) that it has left. */
export const streamPositionSchema = z.object({
  ...reported,
  coveredUntil: timeText.nullable(),
  left: z.array(z.object(reported)).default([]),
});
export type StreamPosition = z.infer<typeof streamPositionSchema>;

type StreamPlace = Pick<StreamPosition, "systemIdentifier" | "timeline">;

function isAt(a: StreamPlace, b: StreamPlace): boolean {
  return a.systemIdentifier === b.systemIdentifier && a.timeline === b.timeline;
}

/** The position after another one: where it is on another timeline, the one before is remembered as left. One that is taken up again is not left. */
export function moveOn(before: StreamPosition | null, now: Omit<StreamPosition, "left">): StreamPosition {
  return { ...now, left: everReported(before).filter((each) => !isAt(each, now)) };
}

/** How far a stream ever reported WAL of a timeline durable, as text; null: it never did. */
export function reportedDurable(position: StreamPosition | null, place: StreamPlace): string | null {
  return everReported(position).find((each) => isAt(each, place))?.lsn ?? null;
}

/** The timelines of a cluster that a stream has been on. */
export function streamedTimelines(position: StreamPosition | null, cluster: string | null): number[] {
  return everReported(position).flatMap(({ systemIdentifier, timeline }) => (systemIdentifier === cluster ? [timeline] : []));
}

/** What was left first, then where it is. */
function everReported(position: StreamPosition | null): StreamPosition["left"] {
  if (position === null) return [];
  const { systemIdentifier, timeline, lsn } = position;
  return [...position.left, { systemIdentifier, timeline, lsn }];
}
