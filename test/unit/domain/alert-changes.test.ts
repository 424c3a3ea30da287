import { expect, test } from "vitest";
import { NOTHING_WATCHED, planAlertChanges } from "../../../src/domain/alert-changes.ts";
import type { StandingAlert } from "../../../src/domain/alert-changes.ts";
import { conditionOf } from "../../../src/domain/alert-conditions.ts";
import type { AlertCondition } from "../../../src/domain/alert-facts.ts";

const SECOND = 1000;
/** Must hold for 120 s, and be gone for 60. */
const SLOW = conditionOf({ kind: "source_unreachable", source: "orders", title: "the server of orders does not answer" });
const AT_ONCE = conditionOf({ kind: "run_failed", source: "orders", title: "the newest full backup failed", detail: "first" });

/** Plays what is wrong at each moment through, with alerts that are kept as the catalog keeps them; says what happened when. */
function play(moments: readonly (readonly [atSeconds: number, conditions: readonly AlertCondition[], undecided?: readonly string[]])[]): string[] {
  let [standing, watch] = [[] as StandingAlert[], NOTHING_WATCHED];
  const happened: string[] = [];
  for (const [atSeconds, conditions, undecided] of moments) {
    const changes = planAlertChanges(standing, { conditions, undecided: new Set(undecided) }, watch, atSeconds * SECOND);
    ({ watch } = changes);
    for (const { key, kind, detail } of changes.raise) {
      standing.push({ id: `${key}@${atSeconds}`, key, kind, detail });
      happened.push(`${atSeconds} raised ${kind}`);
    }
    for (const { id } of changes.resolve) {
      standing = standing.filter((one) => one.id !== id);
      happened.push(`${atSeconds} resolved`);
    }
    for (const { id, detail } of changes.update) {
      standing = standing.map((one) => (one.id === id ? { ...one, detail } : one));
      happened.push(`${atSeconds} updated: ${detail}`);
    }
  }
  return happened;
}

test("what holds is raised once, and resolved once it is over", () => {
  expect(
    play([
      [0, [AT_ONCE]],
      [3, [AT_ONCE]],
      [6, []],
      [9, []],
    ]),
  ).toEqual(["0 raised run_failed", "6 resolved"]);
});

test("the same alert with another detail is updated, not raised again", () => {
  expect(
    play([
      [0, [AT_ONCE]],
      [3, [{ ...AT_ONCE, detail: "second" }]],
      [6, [{ ...AT_ONCE, detail: "second" }]],
    ]),
  ).toEqual(["0 raised run_failed", "3 updated: second"]);
});

test("a hiccup shorter than the time of its kind is never raised", () => {
  expect(
    play([
      [0, [SLOW]],
      [119, [SLOW]],
      [120, []],
      [121, [SLOW]],
      [240, [SLOW]],
    ]),
  ).toEqual([]);
});

test("what comes and goes is one alert, over when it was away for long enough", () => {
  expect(
    play([
      [0, [SLOW]],
      [120, [SLOW]],
      [130, []],
      [180, [SLOW]],
      [190, []],
      [249, []],
      [250, []],
    ]),
  ).toEqual(["120 raised source_unreachable", "250 resolved"]);
});

test("while nobody can tell, an alert stays, and the time that it was gone does not run", () => {
  expect(
    play([
      [0, [SLOW]],
      [120, [SLOW]],
      [130, []],
      [150, [], [SLOW.key]],
      [1000, [], [SLOW.key]],
      [1010, []],
      [1069, []],
      [1070, []],
    ]),
  ).toEqual(["120 raised source_unreachable", "1070 resolved"]);
});

test("an alert of a kind that this version does not know is over, since nothing here can raise it", () => {
  const changes = planAlertChanges([{ id: "x", key: "quantum_drift/orders", kind: null, detail: null }], { conditions: [], undecided: new Set() }, NOTHING_WATCHED, 0);
  expect(changes.resolve.map(({ id }) => id)).toEqual(["x"]);
});
