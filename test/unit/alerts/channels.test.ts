import { createHmac } from "node:crypto";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { DeliveryError } from "../../../src/alerts/channel.ts";
import type { Channel, Notice } from "../../../src/alerts/channel.ts";
import { email } from "../../../src/alerts/email.ts";
import { pagerDuty } from "../../../src/alerts/pagerduty.ts";
import { slack } from "../../../src/alerts/slack.ts";
import { webhook } from "../../../src/alerts/webhook.ts";
import { openHttpReceiver } from "../../support/http-receiver.ts";
import type { HttpReceiver } from "../../support/http-receiver.ts";
import { ALERT } from "./some-alert.ts";

const NOW = new Date("2026-11-08T12:00:10.500Z");
const SECRET = "sek-9f8e7d6c5b4a";
const never = new AbortController().signal;
const RAISED: Notice = { event: "raised", alert: ALERT };
const ACKNOWLEDGED: Notice = { event: "acknowledged", alert: { ...ALERT, state: "acknowledged", acknowledgedBy: "anna" } };
const RESOLVED: Notice = { event: "resolved", alert: { ...ALERT, state: "resolved", resolvedAt: NOW.toISOString() } };

/** Of the reference of the Events API v2: what it requires, allows, and how long it may be. */
const key = z.strictObject({ routing_key: z.string().min(1), event_action: z.enum(["acknowledge", "resolve"]), dedup_key: z.string().max(255) });
const pagerDutyEvent = z.union([
  key,
  z.strictObject({
    routing_key: z.string().min(1),
    event_action: z.literal("trigger"),
    dedup_key: z.string().max(255),
    client: z.string(),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(["critical", "error", "warning", "info"]),
      timestamp: z.iso.datetime(),
      component: z.string(),
      class: z.string(),
      custom_details: z.record(z.string(), z.unknown()),
    }),
  }),
]);

let receiver: HttpReceiver;
beforeEach(async () => {
  receiver = await openHttpReceiver();
});
afterEach(async () => receiver[Symbol.asyncDispose]());

const pager = (): Channel => pagerDuty({ name: "oncall", severities: null, endpoint: receiver.url, routingKey: async () => SECRET, hostName: "backup1" });
const team = (url = receiver.url): Channel => slack({ name: "team", severities: null, url: async () => `${url}/services/${SECRET}` });
const hook = (): Channel =>
  webhook({
    name: "hook",
    severities: null,
    url: `${receiver.url}/hook`,
    secret: async () => SECRET,
    clock: { now: () => NOW, monotonicMs: () => 0, sleep: async () => undefined },
  });

test("PagerDuty is told in the form of its Events API, and knows the alert again by one key", async () => {
  for (const notice of [RAISED, ACKNOWLEDGED, RESOLVED]) await pager().send([notice], never);
  expect(receiver.received.map(({ method, path }) => `${method} ${path}`)).toEqual(Array.from({ length: 3 }, () => "POST /v2/enqueue"));
  const events = receiver.received.map(({ body }) => pagerDutyEvent.parse(JSON.parse(body)));
  expect(events.map(({ event_action: action }) => action)).toEqual(["trigger", "acknowledge", "resolve"]);
  expect(new Set(events.map(({ dedup_key: dedup }) => dedup)).size).toBe(1);
  expect(events[0]).toMatchObject({ routing_key: SECRET, payload: { severity: "critical", source: "orders", component: "onsite", class: "wal_gap" } });
});

test("a title of any length fits into what PagerDuty takes", async () => {
  await pager().send([{ event: "raised", alert: { ...ALERT, title: "x".repeat(5000), source: null } }], never);
  expect(pagerDutyEvent.parse(JSON.parse(receiver.received[0]?.body ?? ""))).toMatchObject({ payload: { source: "backup1" } });
});

test("Slack gets one text, in which nothing that an alert says is a link or a call to everybody", async () => {
  await team().send([RAISED], never);
  const { text } = z.strictObject({ text: z.string().max(4000) }).parse(JSON.parse(receiver.received[0]?.body ?? ""));
  expect(text).toContain("*P1 gap in the WAL of orders in onsite (2 gaps &lt;!channel&gt; &amp; co)*");
  expect(text).toContain("holdfast alert ack 20261108T120000Z-3f9a2c81");
  expect(text).not.toMatch(/<[!@#]/);
});

test("a storm is one message of Slack that can be read", async () => {
  await team().send(
    Array.from({ length: 20 }, () => RAISED),
    never,
  );
  expect((JSON.parse(receiver.received[0]?.body ?? "") as { text: string }).text.split("\n")).toHaveLength(20);
});

test("a webhook is signed, with the time, so that its receiver can tell who sent it and when", async () => {
  await hook().send([RAISED, RESOLVED], never);
  const [message] = receiver.received;
  const body = message?.body ?? "";
  const signature = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(message?.headers["holdfast-signature"]));
  expect(signature?.[1]).toBe(String(Math.floor(NOW.getTime() / 1000)));
  expect(signature?.[2]).toBe(createHmac("sha256", SECRET).update(`${signature?.[1]}.${body}`).digest("hex"));
  expect(JSON.parse(body)).toEqual({
    version: 1,
    sentAt: NOW.toISOString(),
    alerts: [
      { event: "raised", ...ALERT },
      { event: "resolved", ...RESOLVED.alert },
    ],
  });
});

test.each([
  [500, false, null],
  [429, false, 30],
  [403, false, null],
  [400, true, null],
  [302, false, null],
])("an answer of %i: the message itself is refused %s", async (status, refused, retryAfterSeconds) => {
  receiver.answer({ status, headers: { "retry-after": status === 429 ? "30" : "", location: `${receiver.url}/elsewhere` } });
  await expect(team().send([RAISED], never)).rejects.toMatchObject({ message: `answered ${status}`, refused, retryAfterSeconds });
  expect(receiver.received).toHaveLength(1);
});

test("no failure says the address or the key, in its message or in its cause", async () => {
  const failures: unknown[] = [];
  for (const url of ["http://127.0.0.1:1", "http://no-such-host.invalid", `not an address ${SECRET}`])
    failures.push(
      await team(url)
        .send([RAISED], never)
        .catch((error: unknown) => error),
    );
  const server = email({ name: "mail", severities: null, smtp: async () => `smtp://u:${SECRET}@127.0.0.1:1`, to: ["a@b.c"], from: "h@b.c" });
  failures.push(await server.send([RAISED], never).catch((error: unknown) => error));
  expect(failures.map((error) => error instanceof DeliveryError)).toEqual([true, true, true, true]);
  for (const error of failures) expect(error instanceof Error ? error.message : "").not.toContain(SECRET);
});

test("e-mail goes through a real server, with a login, and without what could be read as a header", async () => {
  const mails: { from: string; to: string[]; data: string }[] = [];
  const logins: string[] = [];
  const server = new SMTPServer({
    authOptional: false,
    allowInsecureAuth: true,
    hideSTARTTLS: true,
    onAuth: ({ username, password }, _, done) => {
      logins.push(`${username}:${password}`);
      done(null, { user: username });
    },
    onData: (stream, session, done) => {
      let data = "";
      stream.on("data", (chunk: Buffer) => (data += chunk.toString()));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({ from: mailFrom === false ? "" : mailFrom.address, to: rcptTo.map(({ address }) => address), data });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const { port } = server.server.address() as AddressInfo;
    const mail = email({
      name: "mail",
      severities: null,
      smtp: async () => `smtp://user:${SECRET}@127.0.0.1:${port}`,
      to: ["dba@example.com", "b@example.com"],
      from: "holdfast@example.com",
    });
    await mail.send([{ event: "raised", alert: { ...ALERT, title: "gap\r\nBcc: everybody@example.com" } }, RESOLVED], never);
  } finally {
    await new Promise<void>((resolve) => {
      server.close(resolve);
    });
  }
  expect(logins).toEqual([`user:${SECRET}`]);
  expect(mails).toMatchObject([{ from: "holdfast@example.com", to: ["dba@example.com", "b@example.com"] }]);
  const [head = "", body = ""] = (mails[0]?.data ?? "").split("\r\n\r\n", 2);
  expect(head).toMatch(/^Auto-Submitted: auto-generated$/m);
  expect(head.replaceAll("\r\n ", " ")).toMatch(/^Subject: Holdfast: P1 gap.*, and 1 more$/m);
  expect(head).not.toMatch(/^Bcc:/m);
  expect(body).toContain("take a full backup now");
});
