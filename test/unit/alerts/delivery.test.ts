import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChannelSender } from "../../../src/alerts/channel-sender.ts";
import { planDeliveries } from "../../../src/alerts/plan-deliveries.ts";
import { pagerDuty } from "../../../src/alerts/pagerduty.ts";
import { slack } from "../../../src/alerts/slack.ts";
import type { Channel } from "../../../src/alerts/channel.ts";
import { listChannelHealth, listDeliveries } from "../../../src/catalog/alert-deliveries.ts";
import { applyEntry } from "../../../src/catalog/apply-entry.ts";
import type { ChannelRoute } from "../../../src/domain/alert-routing.ts";
import { openHttpReceiver } from "../../support/http-receiver.ts";
import type { HttpReceiver } from "../../support/http-receiver.ts";
import { openHistory } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";
import { ALERT } from "./some-alert.ts";

const START = Date.parse("2026-11-08T12:00:00.000Z");
const SECRET = "sek-9f8e7d6c5b4a";
const never = new AbortController().signal;

describe("what channels are told", () => {
  let history: History;
  let receiver: HttpReceiver;
  let ms: number;
  let sequence: number;
  let logged: string[];

  beforeEach(async () => {
    history = await openHistory();
    receiver = await openHttpReceiver();
    [ms, sequence, logged] = [0, 0, []];
  });
  afterEach(async () => {
    await history[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });

  const now = (): Date => new Date(START + ms);
  const clock = { now, monotonicMs: () => ms, sleep: async () => undefined };
  const record = (kind: string, facts: Record<string, unknown>): void =>
    applyEntry(history.catalog, { writer: "c".repeat(64), sequence: ++sequence, at: now().toISOString(), kind, facts });
  const raise = (alert: string, more: object = {}): void => {
    const { id: _, state: __, ...facts } = ALERT;
    record("alert.raised", { ...facts, alert, key: `wal_gap/${alert}`, ...more });
  };
  const team = (): Channel => slack({ name: "team", severities: ["P1"], url: async () => `${receiver.url}/${SECRET}` });
  const pager = (): Channel => pagerDuty({ name: "oncall", severities: null, endpoint: receiver.url, routingKey: async () => SECRET, hostName: "h" });
  const senderOf = (channel: Channel): ChannelSender =>
    new ChannelSender(channel, { catalog: history.catalog, clock, log: (event, fields) => void logged.push(`${event} ${JSON.stringify(fields)}`) });
  /** Plans, and sends until nothing more is due. */
  const turn = async (sender: ChannelSender, channels: readonly ChannelRoute[]): Promise<void> => {
    planDeliveries(history.catalog, channels, now());
    while (await sender.step(never));
  };
  const actions = (): string[] => receiver.received.map(({ body }) => String((JSON.parse(body) as Record<string, unknown>)["event_action"]));
  const waiting = (): number => listDeliveries(history.catalog).filter(({ state }) => state === "waiting").length;

  test("is everything once, in order, and then nothing is kept of it", async () => {
    const [channel, sender] = [pager(), senderOf(pager())];
    raise("a");
    await turn(sender, [channel]);
    await turn(sender, [channel]);
    record("alert.acknowledged", { alert: "a", by: "anna" });
    await turn(sender, [channel]);
    record("alert.resolved", { alert: "a" });
    await turn(sender, [channel]);
    await turn(sender, [channel]);
    expect(actions()).toEqual(["trigger", "acknowledge", "resolve"]);
    expect(listDeliveries(history.catalog)).toEqual([]);
  });

  test("waits while a channel does not answer, ever longer, and arrives when it does", async () => {
    const [channel, sender] = [pager(), senderOf(pager())];
    receiver.answer(500, 503, 429);
    raise("a");
    await turn(sender, [channel]);
    expect(listChannelHealth(history.catalog)).toMatchObject([{ channel: "oncall", failingSince: now().toISOString(), error: "answered 500" }]);
    await turn(sender, [channel]);
    expect(receiver.received, "not again at once").toHaveLength(1);
    for (const seconds of [5, 10, 20]) {
      ms += seconds * 1000;
      await turn(sender, [channel]);
    }
    expect(actions()).toEqual(["trigger", "trigger", "trigger", "trigger"]);
    expect(listChannelHealth(history.catalog)).toMatchObject([{ failingSince: null, error: null, lastSuccessAt: now().toISOString() }]);
    expect(waiting()).toBe(0);
  });

  test("of one channel is not held up by another", async () => {
    await using other = await openHttpReceiver();
    const broken = slack({ name: "team", severities: ["P1"], url: async () => `${other.url}/${SECRET}` });
    const channels = [pager(), broken];
    const [first, second] = [senderOf(pager()), senderOf(broken)];
    other.answer(500, 500);
    raise("a");
    await turn(second, channels);
    await turn(first, channels);
    expect(actions()).toEqual(["trigger"]);
    expect(waiting()).toBe(1);
  });

  test("is told again by whoever comes after one that died while it sent", async () => {
    const channel = pager();
    raise("a");
    planDeliveries(history.catalog, [channel], now());
    receiver.answer("hang");
    const dying = new AbortController();
    const step = senderOf(pager()).step(dying.signal);
    while (receiver.received.length === 0) await new Promise(setImmediate);
    dying.abort(new Error("killed"));
    await step;
    await turn(senderOf(pager()), [channel]);
    expect(actions()).toEqual(["trigger", "trigger"]);
    expect(waiting()).toBe(0);
  });

  test("wakes nobody for what was over before it could be said, but ends what may have arrived", async () => {
    const channel = pager();
    raise("a");
    raise("b");
    planDeliveries(history.catalog, [channel], now());
    const sender = senderOf(pager());
    receiver.answer(500);
    await sender.step(never);
    for (const alert of ["a", "b"]) record("alert.resolved", { alert });
    ms += 5000;
    await turn(sender, [channel]);
    const sent = receiver.received.map(({ body }) => JSON.parse(body) as { event_action: string; dedup_key: string });
    expect(sent.map(({ event_action: action, dedup_key: dedup }) => `${action} ${dedup}`)).toEqual(["trigger holdfast/a", "trigger holdfast/a", "resolve holdfast/a"]);
  });

  test("is given up where the message itself is refused, and does not hold up what comes after", async () => {
    const [channel, sender] = [team(), senderOf(team())];
    raise("a");
    await turn(sender, [channel]);
    receiver.answer(400, 400, 400, 400, 400);
    raise("b");
    for (let i = 0; i < 5; i++, ms += 600_000) await turn(sender, [channel]);
    raise("c");
    await turn(sender, [channel]);
    expect(listDeliveries(history.catalog).map(({ alert, state }) => `${alert} ${state}`)).toEqual(["a sent", "b given_up", "c sent"]);
    expect(logged.some((line) => line.startsWith("alert given up"))).toBe(true);
  });

  test("of many that are refused together goes one by one, so that one bad one does not take the others with it", async () => {
    const [channel, sender] = [team(), senderOf(team())];
    for (const id of ["a", "b", "c"]) raise(id);
    receiver.answer(400);
    await turn(sender, [channel]);
    ms += 5000;
    await turn(sender, [channel]);
    expect(receiver.received).toHaveLength(4);
    expect(waiting()).toBe(0);
  });

  test("says no secret: not in the log, not in the catalog", async () => {
    const channel = slack({ name: "team", severities: ["P1"], url: async () => `http://127.0.0.1:1/${SECRET}` });
    raise("a");
    await turn(senderOf(channel), [channel]);
    expect(listChannelHealth(history.catalog)[0]?.error).toMatch(/^no connection/);
    expect(JSON.stringify([logged, listChannelHealth(history.catalog), listDeliveries(history.catalog)])).not.toContain(SECRET);
  });

  test("of a channel that is no longer there is forgotten", async () => {
    raise("a");
    planDeliveries(history.catalog, [team()], now());
    record("alert.resolved", { alert: "a" });
    planDeliveries(history.catalog, [], now());
    expect(listDeliveries(history.catalog)).toEqual([]);
  });
});
