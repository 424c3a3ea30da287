import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { signDigests } from "../../../src/compliance/attestation.ts";
import { splitLines } from "../../../src/compliance/bundle-lines.ts";
import { knownFrom, verifyBundle } from "../../../src/compliance/verify-bundle.ts";
import type { KnownLogs } from "../../../src/compliance/bundle-logs.ts";
import type { BundleCheck } from "../../../src/compliance/verify-bundle.ts";
import { exportBundle } from "../../../src/operations/evidence/export-bundle.ts";
import type { BundleOrder } from "../../../src/operations/evidence/export-bundle.ts";
import { parseEnvelope, signEnvelope } from "../../../src/repository/dsse.ts";
import { bundleStatementSchema, digestOf, signBundle } from "../../../src/repository/evidence-bundle.ts";
import { EvidenceLog } from "../../../src/repository/evidence-log.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { generateSigningKey } from "../../../src/repository/signing.ts";
import type { SigningKey } from "../../../src/repository/signing.ts";
import { openLocalStore } from "../../../src/storage/local-store.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";

const at = (minute: number): Date => new Date(Date.UTC(2026, 9, 1, 12, minute));
const stranger = generateSigningKey();

let fixture: RepositoryFixture;
let repository: WritableRepository;
let own: SigningKey;
let other: SigningKey;
/** Everything, with a report; before two entries more, and after; of one source and an hour of it. */
let whole: Buffer[];
let earlier: Buffer[];
let since: Buffer[];
let part: Buffer[];
/** Of a host that was set back, and wrote its log anew with its own key. */
let rewritten: Buffer[];

beforeAll(async () => {
  fixture = await openRepositoryFixture();
  repository = await fixture.open();
  own = repository.signer;
  const second = await fixture.open("two");
  other = second.signer;
  const log = logOf(repository, "one");
  const logOfOther = logOf(second, "two");
  const run = async (into: EvidenceLog, minute: number, source: string): Promise<unknown> => into.append("run.finished", at(minute), { source, outcome: "succeeded" });
  for (let minute = 0; minute < 5; minute++) await run(log, minute, minute % 2 === 0 ? "orders" : "users");
  await log.copyTo(repository);
  await run(logOfOther, 3, "orders");
  await logOfOther.copyTo(second);
  earlier = await exported({});
  for (let minute = 5; minute < 8; minute++) await run(log, minute, "orders");
  await log.copyTo(repository);
  const file = { name: "report.json", bytes: Buffer.from('{"kind":"holdfast.compliance-report"}') };
  whole = await exported({ files: [file, { name: "report.dsse.json", bytes: signDigests(own, [{ name: file.name, sha256: digestOf(file.bytes) }], { status: "effective" }) }] });
  const { writers } = statementOf(earlier).predicate;
  since = await exported({ since: writers });
  part = await exported({ from: at(1), to: at(7), source: "orders" });
  const again = await openRepositoryFixture();
  const anew = new EvidenceLog(openLocalStore(join(again.folder, "../anew")), own);
  for (let minute = 0; minute < 9; minute++) await run(anew, minute, "better");
  await anew.copyTo({ ...repository, store: again.store });
  rewritten = await exported({ repository: { ...repository, store: again.store }, since: writers });
  await again[Symbol.asyncDispose]();
}, 60_000);
afterAll(async () => fixture[Symbol.asyncDispose]());

function logOf(of: WritableRepository, name: string): EvidenceLog {
  return new EvidenceLog(openLocalStore(join(fixture.folder, `../evidence-${name}`)), of.signer);
}

async function exported(order: Partial<BundleOrder>): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  await exportBundle({ repository, now: at(59), from: null, to: null, source: null, files: [], since: [], ...order }, async (bytes) => void lines.push(Buffer.from(bytes)));
  return lines;
}

const statementOf = (lines: readonly Buffer[]): ReturnType<typeof bundleStatementSchema.parse> =>
  bundleStatementSchema.parse(JSON.parse(String(parseEnvelope(lines.at(-1) ?? Buffer.alloc(0))?.payload)));

/** With a statement over what the lines are now, as whoever holds that key can make one. */
function sealed(lines: readonly Buffer[], key: SigningKey, predicate = statementOf(whole).predicate): Buffer[] {
  const content = lines.slice(0, -1);
  return [...content, signBundle(key, digestOf(Buffer.concat(content)), predicate)];
}

const without = (lines: readonly Buffer[], index: number): Buffer[] => lines.toSpliced(index, 1);
const entriesIn = (lines: readonly Buffer[]): number[] =>
  lines.flatMap((line, i) => (line.includes('"payloadType":"application/vnd.in-toto+json"') && i < lines.length - 1 ? [i] : []));
const lineOf = (lines: readonly Buffer[], words: string): number => lines.findIndex((line) => line.includes(words));
const entry = (n: number): number => entriesIn(whole).at(n) ?? -1;

function flipped(line: Buffer, index = Math.floor(line.length / 2)): Buffer {
  const changed = Buffer.from(line);
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}

function signedAnew(line: Buffer, key: SigningKey, change: (text: string) => string): Buffer {
  const envelope = parseEnvelope(line);
  return signEnvelope(envelope?.payloadType ?? "", Buffer.from(change(String(envelope?.payload))), key);
}

const replaced = (index: number, line: Buffer): Buffer[] => whole.toSpliced(index, 1, line);
const swapped = (index: number): Buffer[] => [...whole.slice(0, index), ...whole.slice(index, index + 2).toReversed(), ...whole.slice(index + 2)];
const changeOutcome = (text: string): string => text.replace("succeeded", "failed");

/** What somebody could do to a bundle, and what is to be said of it. `known`: a bundle that the auditor has already. */
const CASES: readonly [what: string, bundle: () => Buffer[], verdict: BundleCheck["verdict"], known?: () => Buffer[]][] = [
  ["nothing", () => whole, "valid"],
  ["nothing, to one of a part of the log", () => part, "valid"],
  ["nothing, and an earlier one is at hand", () => since, "valid", () => earlier],
  ["nothing, and that it only grew is not proved", () => whole, "indeterminate", () => earlier],
  ["gave the older one, where a newer one is at hand", () => earlier, "invalid", () => whole],
  ["had the log written anew by its own host, where an earlier one is at hand", () => rewritten, "invalid", () => earlier],
  ["changed an entry", () => replaced(entry(2), flipped(whole[entry(2)] ?? Buffer.alloc(0))), "invalid"],
  ["changed an entry and signed it with a key of their own", () => replaced(entry(2), signedAnew(whole[entry(2)] ?? Buffer.alloc(0), stranger, changeOutcome)), "invalid"],
  ["changed an entry and had it signed by its host", () => replaced(entry(2), signedAnew(whole[entry(2)] ?? Buffer.alloc(0), own, changeOutcome)), "invalid"],
  [
    "changed an entry, and had both it and the bundle signed by their host",
    () => sealed(replaced(entry(2), signedAnew(whole[entry(2)] ?? Buffer.alloc(0), own, changeOutcome)), own),
    "invalid",
  ],
  ["took an entry out", () => without(whole, entry(3)), "invalid"],
  ["took an entry out, and had the bundle signed by its host", () => sealed(without(whole, entry(3)), own), "invalid"],
  ["took the last entry out, and had the bundle signed by its host", () => sealed(without(whole, entry(-1)), own), "invalid"],
  ["took an entry out, and signed the bundle themselves", () => sealed(without(whole, entry(-1)), stranger), "invalid"],
  ["changed the order", () => swapped(entry(4)), "invalid"],
  ["changed the order, and had the bundle signed by its host", () => sealed(swapped(entry(4)), own), "invalid"],
  ["cut the end off", () => whole.slice(0, -2), "invalid"],
  ["cut off all but the beginning", () => whole.slice(0, 3), "invalid"],
  ["cut off everything", () => [], "invalid"],
  ["took a proof out, and had the bundle signed by its host", () => sealed(without(whole, lineOf(whole, '{"inclusion"')), own), "invalid"],
  ["put the older statement under the newer checkpoints", () => sealed(whole, own, statementOf(earlier).predicate), "invalid"],
  ["put the end of another bundle under it", () => [...whole.slice(0, -1), earlier.at(-1) ?? Buffer.alloc(0)], "invalid"],
  ["signed the whole with a key of their own", () => sealed(whole, stranger), "indeterminate"],
  [
    "changed the report, and had the bundle signed by its host",
    () => sealed(replaced(lineOf(whole, "report.json"), Buffer.from('{"file":{"name":"report.json","base64":"e30="}}\n')), own),
    "invalid",
  ],
  [
    "added a file to the report, and had the bundle signed by its host",
    () => sealed(whole.toSpliced(-1, 0, Buffer.from('{"file":{"name":"more.csv","base64":"e30="}}\n')), own),
    "invalid",
  ],
];

async function check(lines: readonly Buffer[], keys: readonly SigningKey[], known?: readonly Buffer[]): Promise<BundleCheck> {
  const knowing = (known ?? []).length === 0 ? [] : [knownFrom("known", known?.at(-1) ?? Buffer.alloc(0), keys)].filter((each): each is KnownLogs => each !== null);
  return verifyBundle(splitLines(chunked(Buffer.concat(lines))), keys, { known: knowing });
}

/** In pieces that end in the middle of lines. */
async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += 1000) yield bytes.subarray(from, from + 1000);
}

test.each(CASES)("somebody %s", async (_, bundle, verdict, known) => {
  const { findings, ...checked } = await check(bundle(), [own, other], known?.());
  expect([checked.verdict, findings.length > 0], JSON.stringify(findings)).toEqual([verdict, verdict !== "valid"]);
});

test("a line of a bundle that is changed, taken out, doubled, or put one further is seen, whichever it is", async () => {
  const missed: string[] = [];
  for (let i = 0; i < whole.length; i++) {
    const line = whole[i] ?? Buffer.alloc(0);
    const edits = {
      changed: replaced(i, flipped(line)),
      first: replaced(i, flipped(line, 0)),
      taken: without(whole, i),
      doubled: whole.toSpliced(i, 0, line),
      ...(i + 1 < whole.length ? { moved: swapped(i) } : {}),
    };
    for (const [edit, lines] of Object.entries(edits)) if ((await check(lines, [own, other])).verdict !== "invalid") missed.push(`line ${i} ${edit}`);
  }
  expect(missed).toEqual([]);
});

test("what a host signed whose key is not at hand is indeterminate, and not valid", async () => {
  expect((await check(whole, [own])).verdict).toBe("indeterminate");
  expect((await check(whole, [stranger])).verdict).toBe("indeterminate");
  expect(await check(whole, [stranger])).toMatchObject({ statement: null });
});

test("a bundle tells what is in it, and who put it together when", async () => {
  expect(await check(whole, [own, other])).toMatchObject({
    entries: 9,
    files: ["report.json", "report.dsse.json"],
    signer: own.fingerprint,
    statement: { exportedAt: at(59).toISOString() },
  });
  expect(await check(part, [own, other])).toMatchObject({ entries: 5, statement: { selection: { source: "orders" } } });
});

/** Loads the verifier once, and has it check one bundle after the other. */
const DRIVER = `
import contextlib, importlib.util, io, json, sys
spec = importlib.util.spec_from_file_location("verify", sys.argv[1]); verify = importlib.util.module_from_spec(spec); spec.loader.exec_module(verify)
codes = []
for arguments in json.load(open(sys.argv[2])):
    sys.argv = ["verify", *arguments]
    with contextlib.redirect_stdout(io.StringIO()): codes.append(verify.main())
print(json.dumps(codes))
`;

test("the verifier of one Python file says the same of every one of them, with openssl and the public keys alone", async () => {
  const folder = join(fixture.folder, "..");
  const put = async (name: string, content: string | Buffer): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const keys = await put("keys.txt", `# keys\n${own.publicKey}  one\n${other.publicKey}  two\n`);
  const unknown = await put("unknown.txt", `${stranger.publicKey}\n`);
  const calls: string[][] = [];
  for (const [i, [, bundle, , known]] of CASES.entries())
    calls.push([await put(`bundle-${i}`, Buffer.concat(bundle())), "--key", keys, ...(known === undefined ? [] : ["--known", await put(`known-${i}`, Buffer.concat(known()))])]);
  calls.push([join(folder, "bundle-0"), "--key", unknown], [join(folder, "bundle-0"), "--key", keys, "--every-signature"]);
  const script = join(import.meta.dirname, "../../../docs/verify-evidence.py");
  const { stdout } = await promisify(execFile)("python3", ["-c", DRIVER, script, await put("calls.json", JSON.stringify(calls))]);
  const codes = { valid: 0, invalid: 1, indeterminate: 3 };
  expect(JSON.parse(stdout)).toEqual([...CASES.map(([, , verdict]) => codes[verdict]), codes.indeterminate, codes.valid]);
}, 60_000);
