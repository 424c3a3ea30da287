import { expect, test } from "vitest";
import { goesThrough, retryAfterSeconds, whyGivenUp } from "../../../src/domain/alert-routing.ts";
import type { ChannelRoute } from "../../../src/domain/alert-routing.ts";
import { SEVERITIES } from "../../../src/domain/alert-kinds.ts";

const OWN: readonly ChannelRoute[] = (["pagerduty", "slack", "email", "webhook"] as const).map((kind) => ({ name: kind, kind, severities: null }));
const MANAGER: ChannelRoute = { name: "am", kind: "alertmanager", severities: null };

function told(alert: Partial<Parameters<typeof goesThrough>[0]>, all: readonly ChannelRoute[]): string[] {
  return all.filter((channel) => goesThrough({ severity: "P2", state: "open", failedChannel: null, ...alert }, channel, all)).map(({ name }) => name);
}

test.each([
  ["P1", ["pagerduty", "webhook"]],
  ["P2", ["pagerduty", "slack", "webhook"]],
  ["P3", ["slack", "email", "webhook"]],
  ["P4", ["email", "webhook"]],
] as const)("%s goes where the table of severities says", (severity, names) => {
  expect(told({ severity }, OWN)).toEqual(names);
});

test("a channel that names its severities gets these and no others", () => {
  expect(SEVERITIES.filter((severity) => told({ severity }, [{ name: "team", kind: "slack", severities: ["P1", "P2"] }]).length > 0)).toEqual(["P1", "P2"]);
});

test("that a channel does not work is told through all the others, and not through itself", () => {
  expect(told({ failedChannel: "pagerduty" }, OWN)).toEqual(["slack", "email", "webhook"]);
});

test("where an Alertmanager pages nobody is told twice; only that it cannot be reached is told by the others", () => {
  const all = [...OWN, MANAGER];
  for (const severity of SEVERITIES) expect(told({ severity }, all)).toEqual(["am"]);
  expect(told({ failedChannel: "am" }, all)).toEqual(["pagerduty", "slack", "email", "webhook"]);
  expect(told({ failedChannel: "slack" }, all)).toEqual(["am"]);
});

test("a channel that fails is tried ever less often, never less than every five minutes unless it asks for that", () => {
  expect([1, 2, 3, 6, 7, 8, 1000].map((failures) => retryAfterSeconds(failures, null))).toEqual([5, 10, 20, 160, 300, 300, 300]);
  expect(retryAfterSeconds(1, 30)).toBe(30);
  expect(retryAfterSeconds(1, 86_400)).toBe(900);
});

test("what is still wrong is never given up because a channel does not work; what is long over is no news", () => {
  const now = new Date("2026-11-08T12:00:00Z");
  expect(whyGivenUp({ refusals: 0, resolvedAt: null }, now)).toBeNull();
  expect(whyGivenUp({ refusals: 0, resolvedAt: "2026-11-07T13:00:00Z" }, now)).toBeNull();
  expect(whyGivenUp({ refusals: 0, resolvedAt: "2026-11-07T11:00:00Z" }, now)).toMatch(/over/);
  expect(whyGivenUp({ refusals: 5, resolvedAt: null }, now)).toMatch(/refused/);
});
