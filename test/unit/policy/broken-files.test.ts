import { expect, test } from "vitest";
import { loadInventory } from "../../../src/policy/load.ts";
import { configurationFolder, INVENTORY, POLICY } from "./configuration-folder.ts";

/** What is replaced in a file that loads, and what is then said: `line:column message` and the hint. */
type Broken = readonly [fact: string, from: string, to: string, problem: string, hint: string];

const DURATION = "a whole number above 0 and a unit, such as 30s, 15m, 4h, 7d or 12w; at most 36525d";
const SCHEDULE = '{ cron: "0 2 * * 0" } or { every: 6h }';
const CRON = 'minute hour day month weekday, in quotes: "0 2 * * 0" is Sunday 02:00';
const SECRET = "env:NAME for an environment variable, or file:/path for a file that holds it";
const CHANGE_IT = `${SECRET}; if others have seen this file, change the secret`;
const NAME = "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 characters";
const CHECK = '{ sql: "select count(*) from orders", database: app, expect: { min: 1000 } } or { command: [./smoke.sh] }';
const ADDRESS = "must be file:///absolute/path or s3://bucket/prefix";
const ADDRESSES = "such as file:///srv/holdfast or s3://backups/holdfast";
const EXAMPLE = "compare the line with the example";

const INVENTORIES: readonly Broken[] = [
  ["an empty file", INVENTORY, "", "1:1 the file is empty", "begin with version: 1"],
  ["a list", INVENTORY, "- version: 1\n", "1:1 the file must be a map of keys and values", "known here: version, state, repositories, postgres, scratch, sources, api"],
  ["no version", "version: 1\n", "", "1:1 version is missing", "this Holdfast reads version 1"],
  ["a version of the future", "version: 1", "version: 2", "1:10 version must be 1", "this Holdfast reads version 1"],
  ["a version as text", "version: 1", 'version: "1"', "1:10 version must be 1", "this Holdfast reads version 1"],
  ["a slip in a key", "repositories:", "repositores:", "2:1 unknown key 'repositores'", "did you mean 'repositories'?"],
  [
    "a key of another program",
    "sources:",
    "retention-days: 3\nsources:",
    "10:1 unknown key 'retention-days'",
    "known here: version, state, repositories, postgres, scratch, sources, api",
  ],
  ["a slip in a key of a repository", "    class: fast", "    clas: fast", "5:5 unknown key 'clas'", "did you mean 'class'?"],
  ["a slip in a key of a source", "dataClass:", "data_clas:", "16:5 unknown key 'data_clas'", "did you mean 'dataClass'?"],
  ["a key spelled with underscores", "    tier: critical", "    data_directory: /var/lib/pg", "15:5 unknown key 'data_directory'", "did you mean 'dataDirectory'?"],
  [
    "a key that may be a pasted secret",
    "    tier: critical",
    '    "p:a/ss@word": 1',
    "15:5 unknown key",
    "known here: kind, connection, dataDirectory, policy, tier, dataClass, heartbeat, labels",
  ],
  ["a key twice", "    tier: critical", "    tier: critical\n    tier: standard", "16:5 the key is there twice", "remove one of them"],
  ["a key without a value", "    tier: critical", "    tier:", "15:5 tier has no value", "known here: critical, important, standard, non-critical"],
  ["a tab as indentation", "    tier: critical", "\ttier: critical", "15:1 a tab is used as indentation", "use spaces"],
  ["a quote that is not closed", "policy: nightly", 'policy: "nightly', "14:13 a quote begins here and is not closed", "close it on the same line"],
  [
    "a bracket that is not closed",
    "{ passphrase: env:HOLDFAST_KEY }",
    "{ passphrase: env:HOLDFAST_KEY",
    "7:3 the indentation does not fit the lines around it",
    "keys of one map begin in the same column",
  ],
  ["a key without its colon", "    tier: critical", "    tier critical", "15:5 a ':' is missing after a key, or a quote is not closed", EXAMPLE],
  ["an unknown tag", "tier: critical", "tier: !secret critical", "15:11 a tag that is not known", "remove the word that begins with '!', or put the value in quotes"],
  ["an alias to nothing", "tier: critical", "tier: *tier", "15:11 an alias refers to nothing", "define it with & before using it with *"],
  ["a second document", "sources:", "---\nsources:", "10:1 a second document begins here", "remove the '---', or put it in a file of its own"],
  ["a list as key", "    tier: critical", "    [tier]: critical", "15:5 this is not YAML", EXAMPLE],
  ["a number as key", "    tier: critical", "    1: critical", "15:5 a key must be a word", "put it in quotes if it is meant as text"],
  ["a key that means something to JavaScript", "    tier: critical", "    __proto__: critical", "15:5 a key must be a word", "put it in quotes if it is meant as text"],
  ["a URL of a store that is no folder and no bucket", "file:///srv/holdfast", "gs://bucket/prefix", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["a path in place of a URL", "file:///srv/holdfast", "/srv/holdfast", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["a relative URL", "file:///srv/holdfast", "file://srv/holdfast", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["the root as repository", "file:///srv/holdfast", "file:///", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["an address without a bucket", "file:///srv/holdfast", "s3:///prefix", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["a prefix that leads out of the bucket", "file:///srv/holdfast", "s3://bucket/../other", `4:10 url ${ADDRESS}`, ADDRESSES],
  ["credentials in the address of a bucket", "file:///srv/holdfast", "s3://id:secret@bucket/prefix", `4:10 url ${ADDRESS}`, ADDRESSES],
  [
    "an endpoint with credentials",
    "url: file:///srv/holdfast",
    "url: s3://b-1/p\n    endpoint: https://id:secret@s3.example.com",
    "5:15 endpoint must be http:// or https:// and a host",
    "such as https://s3.example.com:9000, without credentials",
  ],
  [
    "a secret in the place of its reference",
    "url: file:///srv/holdfast",
    "url: s3://b-1/p\n    credentials: { accessKeyId: env:ID, secretAccessKey: wJalrX }",
    `5:58 secretAccessKey must say where the secret is, not the secret itself`,
    CHANGE_IT,
  ],
  [
    "a storage class that must be thawed first",
    "url: file:///srv/holdfast",
    "url: s3://b-1/p\n    storageClass: DEEP_ARCHIVE",
    "5:19 storageClass must be a storage class that can be read at once",
    "such as STANDARD_IA or GLACIER_IR; not GLACIER or DEEP_ARCHIVE",
  ],
  [
    "a setting of buckets on a folder",
    "    class: fast",
    "    region: eu-central-1",
    "5:13 region is for repositories in a bucket",
    "leave it out, or write url: s3://bucket/prefix",
  ],
  [
    "a repository within another in one bucket",
    INVENTORY,
    INVENTORY.replace("file:///srv/holdfast", "s3://b-1/p").replace("file:///mnt/offsite", "s3://b-1/p/q"),
    "8:10 url is in the same place as repository 'onsite'",
    "two copies in one place are lost together: give each a folder of its own",
  ],
  [
    "two repositories in one place",
    "file:///mnt/offsite",
    "file:///srv//holdfast/",
    "8:10 url is in the same place as repository 'onsite'",
    "two copies in one place are lost together: give each a folder of its own",
  ],
  [
    "a repository in a repository",
    "file:///mnt/offsite",
    "file:///srv/holdfast/cloud",
    "8:10 url is in the same place as repository 'onsite'",
    "two copies in one place are lost together: give each a folder of its own",
  ],
  [
    "a repository in what it protects",
    "    tier: critical",
    "    dataDirectory: /srv",
    "4:10 url lies in the data directory of source 'orders'",
    "a repository must survive the loss of what it protects: put it elsewhere",
  ],
  ["a repository without a key", "    encryption: { passphrase: env:HOLDFAST_KEY }\n", "", "3:3 encryption is missing", "known here: passphrase"],
  ["a passphrase in the file", "env:HOLDFAST_KEY", "hunter2", "6:31 passphrase must say where the secret is, not the secret itself", CHANGE_IT],
  ["a passphrase that is a number", "env:HOLDFAST_KEY", "123456", "6:31 passphrase must say where the secret is, not the secret itself", SECRET],
  ["a URL with a password", "env:ORDERS_URL", "postgres://holdfast:hunter2@db/app", "13:17 connection must say where the secret is, not the secret itself", CHANGE_IT],
  ["a secret in a file by a relative path", "file:/etc/holdfast/key", "file:key", "9:31 passphrase must say where the secret is, not the secret itself", CHANGE_IT],
  ["an environment variable that cannot be", "env:ORDERS_URL", "env:ORDERS-URL", "13:17 connection must say where the secret is, not the secret itself", CHANGE_IT],
  ["a source without a connection", "    connection: env:ORDERS_URL\n", "", "11:3 connection is missing", SECRET],
  ["a source without a policy", "    policy: nightly\n", "", "11:3 policy is missing", NAME],
  [
    "a source without settings",
    "sources:",
    "sources:\n  wiki:",
    "11:3 wiki has no value",
    "known here: kind, connection, dataDirectory, policy, tier, dataClass, heartbeat, labels",
  ],
  ["a source with a name that is no name", "  orders:", "  Orders DB:", "11:3 this is no name for a source", NAME],
  ["a source with upper case", "  orders:", "  Orders:", "11:3 'Orders' is no name for a source", NAME],
  ["a repository with a name that leaves its folder", "  cloud:", "  ../cloud:", "7:3 this is no name for a repository", NAME],
  ["a policy that nobody wrote", "policy: nightly", "policy: nigthly", "14:13 there is no policies/nigthly.yaml beside this file", "did you mean 'nightly'?"],
  ["a policy by its file", "policy: nightly", "policy: policies/nightly.yaml", "14:13 policy must be a name", NAME],
  ["a kind of source that is not built", "kind: postgres", "kind: mysql", "12:11 kind must be one of postgres", "known here: postgres"],
  ["a tier that is none", "tier: critical", "tier: citical", "15:11 tier must be one of critical, important, standard, non-critical", "did you mean 'critical'?"],
  [
    "a data class that is none",
    "dataClass: financial",
    "dataClass: secret",
    "16:16 dataClass must be one of financial, user, application, system",
    "known here: financial, user, application, system",
  ],
  ["yes in place of true", "    tier: critical", "    heartbeat: yes", "15:16 heartbeat must be true or false", "without quotes; yes and no are words, not answers"],
  ["a relative data directory", "    tier: critical", "    dataDirectory: data/main", "15:20 dataDirectory must be an absolute path", "beginning with /"],
  ["a label that is a number", "    tier: critical", "    labels: { team: 7 }", "15:21 team must be text", "put it in quotes"],
  [
    "a label whose name Prometheus would refuse",
    "    tier: critical",
    "    labels: { a-b: c }",
    "15:15 'a-b' is no name for a label",
    "letters, digits and '_', at most 63 characters",
  ],
  ["a home folder", "version: 1", "version: 1\nstate: ~/holdfast", "2:8 state must be a path", "absolute, or relative to the folder of this file; not beginning with ~"],
  [
    "a size without a unit",
    "version: 1",
    "version: 1\nscratch: { maxBytes: 500 }",
    "2:22 maxBytes must be a size",
    "a whole number above 0 and a unit, such as 512MiB, 500GB or 2TB",
  ],
  ["a port alone", "version: 1", "version: 1\napi: { listen: 8420 }", "2:16 listen must be host:port", "such as 127.0.0.1:8420 or [::1]:8420"],
  ["a port that is none", "version: 1", "version: 1\napi: { listen: localhost:99999 }", "2:16 listen must be host:port", "such as 127.0.0.1:8420 or [::1]:8420"],
  [
    "binaries that are no list",
    "version: 1",
    "version: 1\npostgres: { binaries: /usr/bin }",
    "2:23 binaries must be a list of absolute folders",
    '["/usr/lib/postgresql/*/bin"]; * stands for a version',
  ],
];

const POLICIES: readonly Broken[] = [
  ["a policy named unlike its file", "name: nightly", "name: daily", "2:7 name must be that of the file", "rename the file to daily.yaml, or write the name of the file here"],
  ["a policy without a name", "name: nightly\n", "", "1:1 name is missing", NAME],
  ["a policy without a full", "  full:", "  incremental:", "4:1 full is missing", "known here: schedule, retention, repositories, verify, recoveryTimeBudget"],
  ["a type of backup that is none", "  log:", "  diferential:", "11:3 unknown key 'diferential'", "did you mean 'differential'?"],
  ["a slip in a key of a backup", "    retention: 12w", "    retenion: 12w", "7:5 unknown key 'retenion'", "did you mean 'retention'?"],
  ["a backup without a schedule", '    schedule: { cron: "0 2 * * 0" }\n', "", "5:3 schedule is missing", "known here: cron, zone, every"],
  ["a full that is streamed", '    schedule: { cron: "0 2 * * 0" }', "    schedule: stream", "6:15 schedule can be stream for the log only", SCHEDULE],
  ["an interval without its word", '    schedule: { cron: "0 2 * * 0" }', "    schedule: 6h", "6:15 schedule must be a map with cron or every", "{ every: 6h }"],
  ["a cron expression without its word", '    schedule: { cron: "0 2 * * 0" }', '    schedule: "0 2 * * 0"', "6:15 schedule must be a map with cron or every", SCHEDULE],
  ["an empty schedule", '    schedule: { cron: "0 2 * * 0" }', "    schedule: {}", "6:15 schedule must say when", SCHEDULE],
  ["a schedule of two kinds", '{ cron: "0 2 * * 0" }', '{ cron: "0 2 * * 0", every: 6h }', "6:43 every stands beside cron: a schedule has one of them", SCHEDULE],
  ["a slip in a schedule", '{ cron: "0 2 * * 0" }', "{ evry: 6h }", "6:17 unknown key 'evry'", "did you mean 'every'?"],
  ["a slip in the schedule of the log", "    schedule: stream", "    schedule: { evry: 15m }", "12:17 unknown key 'evry'", "did you mean 'every'?"],
  ["a cron expression with seconds", '"0 2 * * 0"', '"0 0 2 * * 0"', "6:23 cron must be a cron expression of five fields", CRON],
  ["a cron expression with an hour that is none", '"0 2 * * 0"', '"0 25 * * 0"', "6:23 cron must be a cron expression of five fields", CRON],
  ["a date that never comes", '"0 2 * * 0"', '"0 2 31 2 *"', "6:23 cron never comes: no date fits it", CRON],
  [
    "a zone that is none",
    '{ cron: "0 2 * * 0" }',
    '{ cron: "0 2 * * 0", zone: Europe/Bern }',
    "6:42 zone must be the name of a time zone",
    "such as Europe/Berlin; left out, it is UTC",
  ],
  ["a zone with an interval", '{ cron: "0 2 * * 0" }', "{ every: 6h, zone: Europe/Berlin }", "6:34 zone goes with cron only: intervals are aligned to 00:00 UTC", SCHEDULE],
  ["an interval without a unit", '{ cron: "0 2 * * 0" }', "{ every: 6 }", "6:24 every must be a duration", DURATION],
  ["an interval of nothing", '{ cron: "0 2 * * 0" }', "{ every: 0s }", "6:24 every must be a duration", DURATION],
  ["a retention in months", "retention: 12w", "retention: 3mo", "7:16 retention must be a duration", DURATION],
  ["a retention without a unit", "retention: 12w", "retention: 12", "7:16 retention must be a duration", DURATION],
  [
    "an empty retention",
    "retention: 12w",
    "retention: {}",
    "7:16 retention must keep something",
    "12w, or any of { keepFor: 30d, keepLast: 2, daily: 7, weekly: 5, monthly: 12, yearly: 7 }",
  ],
  ["a retention that keeps none", "retention: 12w", "retention: { keepLast: 0 }", "7:28 keepLast must be a whole number from 1 to 10000", "such as 7"],
  ["a slip in a retention", "retention: 12w", "retention: { keepfor: 12w }", "7:18 unknown key 'keepfor'", "did you mean 'keepFor'?"],
  ["counts for the log", "retention: 24h", "retention: { keepFor: 24h, daily: 3 }", "13:32 unknown key 'daily'", "known here: keepFor"],
  ["a repository that is none", "[onsite, cloud]", "[onsite, clod]", "8:28 the inventory has no repository 'clod'", "did you mean 'cloud'?"],
  ["a log in a repository that is none", "[onsite]", "[tape]", "14:20 the inventory has no repository 'tape'", "known here: onsite, cloud"],
  [
    "a repository twice",
    "[onsite, cloud]",
    "[onsite, onsite]",
    "8:19 repositories must be a list of different repository names",
    "such as [onsite, cloud]; the first is read from first",
  ],
  ["no repository", "[onsite, cloud]", "[]", "8:19 repositories must be a list of different repository names", "such as [onsite, cloud]; the first is read from first"],
  [
    "a repository that is no list",
    "[onsite, cloud]",
    "onsite",
    "8:19 repositories must be a list of different repository names",
    "such as [onsite, cloud]; the first is read from first",
  ],
  [
    "a verification that only a drill gives",
    "verify: decoded",
    "verify: restored",
    "9:13 verify must be one of present, stored, decoded, pages",
    "restoring is what drills do: drills: { schedule: … }",
  ],
  ["a budget that is none", "recoveryTimeBudget: 4h", "recoveryTimeBudget: 4 hours", "10:25 recoveryTimeBudget must be a duration", DURATION],
  ["an objective that is none", "rpo: 5m", "rpo: 5min", "3:30 rpo must be a duration", DURATION],
  ["an objective that is a list", "{ rto: 15m, rpo: 5m }", "[15m, 5m]", "3:13 objectives must be a map of keys and values", "known here: rto, rpo"],
  ["a drill without a schedule", '  schedule: { cron: "0 4 1 * *" }\n', "", "15:1 schedule is missing", "known here: cron, zone, every"],
  [
    "a drill that selects what is not there",
    "drills:",
    "drills:\n  select: newest",
    "16:11 select must be one of latest, random, random-time, oldest, worst-case",
    "known here: latest, random, random-time, oldest, worst-case",
  ],
  ["a check of two kinds", "database: app,", "command: [./smoke.sh],", "18:54 command stands beside sql: a check has one of them", CHECK],
  ["a check of no kind", 'sql: "select count(*) from orders", database: app, expect: { min: 1 }', "required: true", "18:7 checks must have sql or command", CHECK],
  [
    "a command as text",
    'sql: "select count(*) from orders", database: app, expect: { min: 1 }',
    "command: ./smoke.sh --quick",
    "18:18 command must be a list of words: a program and its arguments",
    "such as [./smoke.sh, --quick]; there is no shell",
  ],
  ["a minimum as text", "min: 1", 'min: "1"', "18:75 min must be a number", "such as 1000, without quotes"],
  ["an expectation that nothing can meet", "min: 1", "min: 2, max: 1", "18:83 max is below min", "no answer could be right"],
  ["a window in the form of one time", '"02:00-04:00"', '"02:00"', "19:29 daily must be two times of day", '"02:00-04:00", in UTC and in quotes'],
  ["a window of no length", '"02:00-04:00"', '"02:00-02:00"', "19:29 daily must be two times of day", '"02:00-04:00", in UTC and in quotes'],
  ["an hour that is none", '"02:00-04:00"', '"22:00-24:00"', "19:29 daily must be two times of day", '"02:00-04:00", in UTC and in quotes'],
  ["windows that are no list", '[{ daily: "02:00-04:00" }]', "02:00-04:00", "19:19 heavy must be a list", '[{ daily: "02:00-04:00" }], in UTC'],
];

async function problemsOf(inventory: string, policy: string): Promise<string[]> {
  await using folder = await configurationFolder({ "holdfast.yaml": inventory, "policies/nightly.yaml": policy });
  const loaded = await loadInventory(folder.inventory);
  if (loaded.ok) return [];
  return loaded.problems.map(({ file, line, column, message, hint }) => `${file.slice(folder.path.length + 1)}:${line}:${column} ${message} (${hint ?? ""})`);
}

function edited(text: string, from: string, to: string): string {
  expect(text, "the text to replace is in the file").toContain(from);
  return text.replace(from, () => to);
}

test("the files that are broken below are whole before", async () => {
  expect(await problemsOf(INVENTORY, POLICY)).toEqual([]);
});

test.each(INVENTORIES)("in the inventory, %s is refused with its line", async (_, from, to, problem, hint) => {
  expect(await problemsOf(edited(INVENTORY, from, to), POLICY)).toContain(`holdfast.yaml:${problem} (${hint})`);
});

test.each(POLICIES)("in a policy, %s is refused with its line", async (_, from, to, problem, hint) => {
  expect(await problemsOf(INVENTORY, edited(POLICY, from, to))).toContain(`policies/nightly.yaml:${problem} (${hint})`);
});
