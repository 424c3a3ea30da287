/** What is replaced in a file that loads, and what is then said: `line:column message` and the hint. */
export type Broken = readonly [fact: string, from: string, to: string, problem: string, hint: string];

export const DURATION = "a whole number above 0 and a unit, such as 30s, 15m, 4h, 7d or 12w; at most 36525d";
export const SCHEDULE = '{ cron: "0 2 * * 0" } or { every: 6h }';
export const CRON = 'minute hour day month weekday, in quotes: "0 2 * * 0" is Sunday 02:00';
export const SECRET = "env:NAME for an environment variable, or file:/path for a file that holds it";
export const CHANGE_IT = `${SECRET}; if others have seen this file, change the secret`;
export const KEY = "env:NAME for an environment variable, file:/path for a file that holds it, or { command: [program, argument] } that prints it";
export const CHANGE_KEY = `${KEY}; if others have seen this file, change the secret`;
export const NAME = "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 characters";
export const CHECK = '{ sql: "select count(*) from orders", database: app, expect: { min: 1000 } } or { command: [./smoke.sh] }';
export const ADDRESS = "must be file:///absolute/path or s3://bucket/prefix";
export const ADDRESSES = "such as file:///srv/holdfast or s3://backups/holdfast";
export const WINDOW = '{ daily: "02:00-04:00" }, { weekly: "Sunday 04:00-06:00" }, { monthly: "first Sunday 06:00-10:00" } or { from: 2026-12-24T00:00Z, to: 2026-12-27T00:00Z }';
export const EXAMPLE = "compare the line with the example";
export const CHANNEL =
  "{ pagerduty: env:PD_KEY }, { slack: env:SLACK_URL }, { smtp: env:SMTP_URL, to: [dba@example.com] }, { url: https://…, secret: env:HOOK } or { alertmanager: http://host:9093 }";
