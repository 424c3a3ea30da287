import { expect, test } from "vitest";
import { policyDifference, weakens } from "../../../src/domain/policy-difference.ts";
import { loadPolicy } from "../../../src/policy/load-policy.ts";
import { formatProblems } from "../../../src/policy/problem.ts";
import type { Policy } from "../../../src/policy/types.ts";
import { configurationFolder } from "../policy/configuration-folder.ts";

const WHOLE = `version: 1
name: p
appliesTo: { tier: critical }
changes: { approval: required }
objectives: { rto: 1h, rpo: 5m }
jitter: 5m
backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: { keepFor: 12w, monthly: 6 }, repositories: [onsite, cloud], verify: decoded, recoveryTimeBudget: 1h }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: 30d, repositories: [onsite, cloud] }
  log: { schedule: stream, retention: 24h, repositories: [onsite, cloud] }
verify: { schedule: { every: 1d }, tier: decoded, wal: 15m, scrub: { rate: 20MB/s, share: 50% } }
drills:
  schedule: { cron: "0 4 1 * *" }
  checks: [{ name: orders, sql: select 1 }, { name: smoke, command: [./smoke.sh], required: false }]
windows: { heavy: [{ daily: "02:00-04:00" }], blackout: [{ daily: "08:00-09:00" }] }
`;

async function policyOf(text: string): Promise<Policy> {
  await using folder = await configurationFolder({ "p.yaml": text });
  const loaded = await loadPolicy(`${folder.path}/p.yaml`);
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
  return loaded.policy;
}

/** From, to, and what is said of it: first of the change, then of the change back. */
type Case = readonly [fact: string, from: string | RegExp, to: string, weaker: string, stronger: string];

const CASES: readonly Case[] = [
  [
    "a shorter retention",
    "30d",
    "7d",
    "backups.incremental.retention incremental backups are kept for 7d, and were kept for 30d",
    "incremental backups are kept for 30d, and were kept for 7d",
  ],
  [
    "fewer months",
    "monthly: 6",
    "monthly: 3",
    "backups.full.retention full backups are kept for 12w; the last of 3 months, and were kept for 12w; the last of 6 months",
    "the last of 6 months",
  ],
  ["a looser recovery point", "rpo: 5m", "rpo: 15m", "objectives.rpo the recovery point objective is 15m, and was 5m", "is 5m, and was 15m"],
  ["a looser recovery time", "rto: 1h", "rto: 4h", "objectives.rto the recovery time objective is 4h, and was 1h", "is 1h, and was 4h"],
  [
    "a dropped copy",
    '"0 2 * * *" }, retention: 30d, repositories: [onsite, cloud]',
    '"0 2 * * *" }, retention: 30d, repositories: [onsite]',
    "backups.incremental.repositories incremental backups no longer go to cloud: one copy less",
    "incremental backups go to cloud too",
  ],
  [
    "a log in one copy less",
    "24h, repositories: [onsite, cloud]",
    "24h, repositories: [onsite]",
    "backups.log.repositories the log no longer goes to cloud: one copy less",
    "the log goes to cloud too",
  ],
  [
    "a rarer schedule",
    '"0 2 * * *"',
    '"0 2 * * 1,4"',
    "backups.incremental.schedule incremental backups run at '0 2 * * 1,4' (UTC), and more often before: every day at 02:00 UTC",
    "incremental backups run every day at 02:00 UTC",
  ],
  [
    "a log that is not streamed",
    "schedule: stream",
    "schedule: { every: 15m }",
    "backups.log.schedule the log is stored every 15m, and more often before: streamed, as it is written",
    "the log is stored streamed, as it is written",
  ],
  [
    "a shorter window of the log",
    "retention: 24h",
    "retention: 6h",
    "backups.log.retention the window in which any time can be brought back is 6h, and was 1d",
    "is 1d, and was 6h",
  ],
  ["no log", /\n {2}log: .*/, "", "backups.log the log is not kept any more: only the ends of backups can be brought back", "the log is kept: any time can be brought back"],
  ["no incrementals", /\n {2}incremental: .*/, "", "backups.incremental there are no incremental backups any more", "there are incremental backups"],
  ["no drills", /drills:(.|\n)*(?=windows)/, "", "drills nothing is restored for proof any more", "restores are drilled"],
  [
    "rarer drills",
    '"0 4 1 * *"',
    '"0 4 1 1 *"',
    "drills.schedule drills run at '0 4 1 1 *' (UTC), and more often before: on day 1 of every month at 04:00 UTC",
    "drills run on day 1 of every month",
  ],
  ["a check less", "{ name: orders, sql: select 1 }, ", "", "drills.checks a drill no longer asks: orders", "a drill also asks: orders"],
  ["a check that need not pass", "sql: select 1 }", "sql: select 1, required: false }", "drills.checks a drill passes where 'orders' fails", "a drill fails where 'orders' fails"],
  [
    "less verification",
    "every: 1d }, tier: decoded",
    "every: 1d }, tier: present",
    "verify.tier verification goes to tier present, and before to decoded",
    "verification goes to tier decoded",
  ],
  ["rarer verification", "every: 1d", "every: 7d", "verify.schedule verification runs every 7d, and more often before: every 1d from 00:00 UTC", "verification runs every 1d"],
  ["new WAL that is verified later", "wal: 15m", "wal: 6h", "verify.wal the time after which new WAL is verified is 6h, and was 15m", "is 15m, and was 6h"],
  [
    "no scrub",
    ", scrub: { rate: 20MB/s, share: 50% }",
    "",
    "verify.scrub what is stored is no longer verified piece by piece in the background",
    "what is stored is verified piece by piece in the background",
  ],
  [
    "a slower scrub",
    "rate: 20MB/s",
    "rate: 1MB/s",
    "verify.scrub the scrub takes 1000000 bytes a second at most and 50 % of the time, and took 20000000 bytes a second at most and 50 % of the time",
    "the scrub takes 20000000 bytes a second",
  ],
  [
    "a scrub with less time",
    "share: 50%",
    "share: 5%",
    "verify.scrub the scrub takes 20000000 bytes a second at most and 5 % of the time, and took 20000000 bytes a second at most and 50 % of the time",
    "50 % of the time, and took",
  ],
  [
    "a backup that is not verified at once",
    "verify: decoded, ",
    "",
    "backups.full.verify full backups are verified as soon as they are made to tier none, and before to decoded",
    "to tier decoded",
  ],
  [
    "a looser budget",
    "recoveryTimeBudget: 1h",
    "recoveryTimeBudget: 8h",
    "backups.full.recoveryTimeBudget the time that recovery from full backups may take is 8h, and was 1h",
    "is 1h, and was 8h",
  ],
  [
    "a blackout more",
    '[{ daily: "08:00-09:00" }]',
    '[{ daily: "08:00-09:00" }, { daily: "12:00-13:00" }]',
    "windows.blackout no backup begins in 12:00-13:00",
    "backups begin in 12:00-13:00 too",
  ],
  ["a longer jitter", "jitter: 5m", "jitter: 50m", "jitter the jitter is 50m, and was 5m", "the jitter is 5m, and was 50m"],
  [
    "no approval",
    "approval: required",
    "approval: none",
    "changes.approval what weakens this policy no longer waits for a second person",
    "what weakens this policy waits for a second person",
  ],
];

test.each(CASES)("%s is weaker, and taking it back is stronger", async (_, from, to, weaker, stronger) => {
  const edited = WHOLE.replace(from, () => to);
  expect(edited).not.toBe(WHOLE);
  const [before, after] = [await policyOf(WHOLE), await policyOf(edited)];
  expect(policyDifference(before, after).map(({ direction, key, message }) => [direction, `${key} ${message}`])).toEqual([["weaker", weaker]]);
  const back = policyDifference(after, before);
  expect(back.map(({ direction }) => direction)).toEqual(["stronger"]);
  expect(back[0]?.message).toContain(stronger);
  expect([weakens(policyDifference(before, after)), weakens(back)]).toEqual([true, false]);
});

test.each([
  ["other sources", "tier: critical", "tier: standard", "appliesTo"],
  ["another question", "sql: select 1", "sql: select 2", "drills.checks"],
  ["an objective that is left to each source", "rto: 1h, ", "", "objectives.rto"],
])("of %s nobody can tell, so it counts as weaker in both directions", async (_, from, to, key) => {
  const [before, after] = [await policyOf(WHOLE), await policyOf(WHOLE.replace(from, to))];
  for (const changes of [policyDifference(before, after), policyDifference(after, before)])
    expect(changes.map((change) => [change.direction, change.key])).toEqual([["weaker", key]]);
});

test.each([
  ["nothing", "", ""],
  ["the same in other units", "24h", "1d"],
  ["a comment", "jitter: 5m", "jitter: 5m # minutes"],
])("%s is no difference", async (_, from, to) => {
  expect(policyDifference(await policyOf(WHOLE), await policyOf(WHOLE.replace(from, to)))).toEqual([]);
});

test("another time of day, another order and another choice are neither", async () => {
  const other = WHOLE.replace('"0 2 * * 0"', '"0 3 * * 0"')
    .replace("[onsite, cloud], verify", "[cloud, onsite], verify")
    .replace('"02:00-04:00"', '"01:00-05:00"')
    .replace("drills:", "drills:\n  select: latest");
  expect(policyDifference(await policyOf(WHOLE), await policyOf(other)).map(({ direction, key }) => [direction, key])).toEqual([
    ["other", "backups.full.schedule"],
    ["other", "backups.full.repositories"],
    ["other", "drills.select"],
    ["other", "windows.heavy"],
  ]);
});

test("a weakening beside a strengthening is a weakening", async () => {
  const changes = policyDifference(await policyOf(WHOLE), await policyOf(WHOLE.replace("keepFor: 12w, monthly: 6", "keepFor: 24w, monthly: 3")));
  expect(changes.map(({ direction }) => direction)).toEqual(["weaker"]);
});
