import { expect, test } from "vitest";
import { CONTROLS, RULES } from "../../../src/domain/control-map.ts";
import type { RuleName } from "../../../src/domain/control-map.ts";
import { judgeNow } from "../../../src/domain/control-now.ts";
import type { CurrentCopy, NowFacts } from "../../../src/domain/control-now.ts";
import { CONTROL_STATUSES, evaluateControls, worstStatus } from "../../../src/domain/control-status.ts";
import type { ControlStatus, RuleResult } from "../../../src/domain/control-status.ts";

const ALL_RULES = Object.keys(RULES) as RuleName[];
const says = (rule: RuleName, status: ControlStatus): RuleResult => ({ rule, status, rows: status === "not_evidenced" ? 0 : 3, reason: "as planted" });

test("of nothing, the status is not evidenced", () => {
  expect(worstStatus([])).toBe("not_evidenced");
});

test("deficient is worse than not evidenced, that than exceptions, and those than effective", () => {
  expect(worstStatus(["effective", "effective_with_exceptions", "not_evidenced", "deficient"])).toBe("deficient");
  expect(worstStatus(["effective", "effective_with_exceptions", "not_evidenced"])).toBe("not_evidenced");
  expect(worstStatus(["effective", "effective_with_exceptions"])).toBe("effective_with_exceptions");
  expect(worstStatus(["effective", "not_applicable"])).toBe("effective");
});

test("every control rests on rules, and every rule answers a control", () => {
  expect(CONTROLS.filter(({ rules }) => rules.length === 0)).toEqual([]);
  expect(ALL_RULES.filter((rule) => !CONTROLS.some(({ rules }) => rules.includes(rule)))).toEqual([]);
  const names = CONTROLS.map(({ framework, control }) => `${framework} ${control}`);
  expect(new Set(names).size).toBe(names.length);
});

test("no text of the map claims compliance", () => {
  expect(JSON.stringify([CONTROLS, RULES])).not.toMatch(/complian|comply|certif/i);
});

test("without sources every control is not evidenced, and none is called not applicable", () => {
  expect(new Set(evaluateControls(CONTROLS, []).map(({ status }) => status))).toEqual(new Set(["not_evidenced"]));
  expect(CONTROL_STATUSES).toContain("not_applicable");
});

test("one source without evidence keeps a control from being effective, and is named first", () => {
  const proven = { name: "orders", rules: ALL_RULES.map((rule) => says(rule, "effective")) };
  const unproven = { name: "wiki", rules: ALL_RULES.map((rule) => says(rule, rule === "recovery_tested" ? "not_evidenced" : "effective")) };
  const byName = new Map(evaluateControls(CONTROLS, [proven, unproven]).map((control) => [control.control, control]));
  expect(byName.get("A1.3")).toMatchObject({ status: "not_evidenced" });
  expect(byName.get("A1.3")?.bySource[0]).toMatchObject({ source: "wiki", rule: "recovery_tested", status: "not_evidenced", rows: 0 });
  expect(byName.get("A1.2")).toMatchObject({ status: "effective" });
});

const COPY: CurrentCopy = {
  repository: "onsite",
  objectiveApplies: true,
  observed: true,
  exposureSeconds: 4,
  exposureBytes: 100,
  sampledAt: "2026-11-08T12:00:00.000Z",
  held: true,
  recoverableFrom: "2026-11-01T02:00:00.000Z",
  recoverableTo: "2026-11-08T12:00:00.000Z",
  gaps: 0,
};
const PASSED = { verdict: "pass", rtoActualSeconds: 400 } as NowFacts["lastDrill"];
const HELD: NowFacts = { copies: [COPY], objectives: { rtoSeconds: 900, rpoSeconds: 300 }, backups: 3, gaps: [], damaged: [], lastDrill: PASSED, failedSince: [], paused: null };
const now = (facts: Partial<NowFacts>): string => judgeNow({ ...HELD, ...facts }).verdict;

test("a source is ok when every copy is observed within the objective and the last drill passed in time", () => {
  expect(judgeNow(HELD)).toEqual({ verdict: "ok", reasons: [] });
});

test("what is not known is unknown, never ok", () => {
  expect(now({ copies: [{ ...COPY, observed: false, exposureSeconds: null }] })).toBe("unknown");
  expect(now({ lastDrill: null })).toBe("unknown");
  expect(now({ backups: null })).toBe("unknown");
});

test("a breach outweighs what is unknown", () => {
  expect(now({ copies: [{ ...COPY, exposureSeconds: 301 }], lastDrill: null })).toBe("breached");
  expect(now({ lastDrill: { ...PASSED, verdict: "fail" } as NowFacts["lastDrill"] })).toBe("breached");
  expect(now({ lastDrill: { ...PASSED, rtoActualSeconds: 901 } as NowFacts["lastDrill"] })).toBe("breached");
  expect(now({ gaps: [{ repository: "onsite", timeline: 1, startLsn: "0/3000000", endLsn: "0/4000000", firstSegment: "a", lastSegment: "a" }] })).toBe("breached");
  expect(now({ damaged: [{ repository: "onsite", backup: "20261101T020000Z-full" }] })).toBe("breached");
  expect(now({ backups: 0 })).toBe("breached");
});

test("a copy that the log does not go to is not asked to hold the objective, and a failed run is a note", () => {
  expect(now({ copies: [COPY, { ...COPY, repository: "cloud", objectiveApplies: false, exposureSeconds: 90_000, held: null }] })).toBe("ok");
  expect(judgeNow({ ...HELD, paused: { until: "2026-11-09T00:00:00.000Z", reason: "move" } })).toEqual({
    verdict: "ok",
    reasons: [{ kind: "note", text: "paused until 2026-11-09T00:00:00.000Z: move" }],
  });
  expect(judgeNow({ ...HELD, failedSince: ["full"] })).toEqual({ verdict: "ok", reasons: [{ kind: "note", text: "the newest full backup did not succeed" }] });
});
