import { readFile } from "node:fs/promises";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from "yaml";
import type { Document, Pair, YAMLError } from "yaml";
import { codeOf } from "../errors.ts";
import { sortProblems } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";

/** A YAML file as plain values, with the way back from a value to its line. */
export interface YamlFile {
  readonly file: string;
  readonly value: unknown;
  /** What is wrong with it although its values can be read: keys that are there twice. */
  readonly problems: readonly Problem[];
  /** Where the value at a path is, or the nearest thing there is to it. */
  find(path: KeyPath): Found;
  /** Where a key itself is. */
  findKey(path: KeyPath): Place;
}

export type KeyPath = readonly (string | number)[];

interface Found extends Place {
  /** missing: the map is there, but not the key. empty: the key is there without a value. */
  readonly state: "present" | "missing" | "empty";
  /** The key it belongs to, or the missing one. */
  readonly key: string;
}

export type YamlResult = { readonly ok: true; readonly yaml: YamlFile } | { readonly ok: false; readonly problems: Problem[] };

/** Configuration is written by people; a file larger than this is something else. */
const MAX_BYTES = 1024 * 1024;

export async function readYamlFile(file: string): Promise<YamlResult> {
  const at = { file, line: 1, column: 1 };
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    return { ok: false, problems: [{ ...at, ...(READ_ERRORS[codeOf(error) ?? ""] ?? { message: `cannot be read (${codeOf(error) ?? "unknown error"})`, hint: null }) }] };
  }
  if (bytes.length > MAX_BYTES) return { ok: false, problems: [{ ...at, message: "is larger than 1 MiB", hint: "give a configuration file" }] };
  const text = decode(bytes);
  if (text === null) return { ok: false, problems: [{ ...at, message: "is not text in UTF-8", hint: "save it as UTF-8" }] };
  return parseYaml(file, text);
}

const READ_ERRORS: Readonly<Record<string, { message: string; hint: string }>> = {
  ENOENT: { message: "there is no such file", hint: "check the path" },
  EISDIR: { message: "is a folder, not a file", hint: "name the file in it" },
  EACCES: { message: "may not be read by this user", hint: "check its owner and mode" },
};

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Values and places of a text, or everything that is wrong with it as YAML. */
function parseYaml(file: string, text: string): YamlResult {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const first = place(0);
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const [twice, errors] = split(document.errors, (error) => error.code === "DUPLICATE_KEY");
    const problems = twice.map((error) => yamlProblem(error, document, place));
    const fatal = [...[...errors, ...document.warnings].map((error) => yamlProblem(error, document, place)), ...nodeProblems(document, place)];
    if (fatal.length > 0) return { ok: false, problems: firstOfEachLine(sortProblems([...problems, ...fatal])) };
    const value: unknown = document.toJS();
    if (value === null || value === undefined) return { ok: false, problems: [{ ...first, message: "the file is empty", hint: "begin with version: 1" }] };
    return { ok: true, yaml: { file, value, problems, find: (path) => find(document, path, place), findKey: (path) => findKey(document, path, place) } };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof ReferenceError)) throw error;
    // The parser recurses into nested values, and refuses to expand too many aliases.
    return { ok: false, problems: [{ ...first, message: TOO_DEEP[0], hint: TOO_DEEP[1] }] };
  }
}

function split<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

type Locator = (offset: number) => Place;

const TOO_DEEP = ["is nested too deeply, or repeats itself through too many aliases", "write it out plainly"] as const;

/** In our words: the parser's own may quote the file, and a file may hold a secret in the wrong place. */
const YAML_ERRORS: Readonly<Partial<Record<YAMLError["code"], readonly [message: string, hint: string]>>> = {
  BAD_DQ_ESCAPE: ["a backslash in double quotes begins no known escape", "use single quotes, or write \\\\"],
  BAD_INDENT: ["the indentation does not fit the lines around it", "keys of one map begin in the same column"],
  BAD_SCALAR_START: ["a plain value cannot begin with this character", "put the value in quotes"],
  BLOCK_AS_IMPLICIT_KEY: ["a second ':' on one line", "put the value in quotes, or the inner key on a line of its own"],
  DUPLICATE_KEY: ["the key is there twice", "remove one of them"],
  MISSING_CHAR: ["something is missing here: a ':' after a key, a closing quote or bracket, or a comma", "compare the line with the example"],
  MULTILINE_IMPLICIT_KEY: ["a ':' is missing after a key, or a quote is not closed", "compare the line with the example"],
  MULTIPLE_DOCS: ["a second document begins here", "remove the '---', or put it in a file of its own"],
  RESOURCE_EXHAUSTION: TOO_DEEP,
  TAB_AS_INDENT: ["a tab is used as indentation", "use spaces"],
  TAG_RESOLVE_FAILED: ["a tag that is not known", "remove the word that begins with '!', or put the value in quotes"],
};

function yamlProblem(error: YAMLError, document: Document.Parsed, place: Locator): Problem {
  const [message, hint] = YAML_ERRORS[error.code] ?? ["this is not YAML", "compare the line with the example"];
  // Of an open quote the parser tells where the file ends, a person looks for where the quote begins.
  const quote = error.code === "MISSING_CHAR" && error.message.includes("quote") ? lastQuoteBefore(document, error.pos[0]) : null;
  if (quote !== null) return { ...place(quote), message: "a quote begins here and is not closed", hint: "close it on the same line" };
  return { ...place(error.pos[0]), message, hint };
}

function lastQuoteBefore(document: Document.Parsed, offset: number): number | null {
  let last: number | null = null;
  visit(document, {
    Scalar: (_, scalar) => {
      const start = scalar.type === "QUOTE_DOUBLE" || scalar.type === "QUOTE_SINGLE" ? startOf(scalar) : null;
      if (start !== null && start < offset) last = start;
    },
  });
  return last;
}

/** After one syntax error in a line the parser often reports others that follow from it. */
function firstOfEachLine(problems: readonly Problem[]): Problem[] {
  return problems.filter(({ line }, i) => problems[i - 1]?.line !== line);
}

/** Keys that would not arrive as they are written, and aliases that stand for nothing. */
function nodeProblems(document: Document.Parsed, place: Locator): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return;
      problems.push({ ...place(startOf(alias) ?? 0), message: "an alias refers to nothing", hint: "define it with & before using it with *" });
    },
    Pair: (_, pair) => {
      const key = pair.key;
      if (isScalar(key) && typeof key.value === "string" && key.value !== "__proto__") return;
      problems.push({ ...place(startOf(key) ?? 0), message: "a key must be a word", hint: "put it in quotes if it is meant as text" });
    },
  });
  return problems;
}

function find(document: Document.Parsed, path: KeyPath, place: Locator): Found {
  let node: unknown = document.contents;
  let [key, offset] = ["the file", startOf(node) ?? 0];
  for (const step of path) {
    const into = isAlias(node) ? node.resolve(document) : node;
    if (isMap(into)) {
      const pair = into.items.find((item) => keyText(item) === step);
      if (pair === undefined) return { ...place(offset), state: "missing", key: String(step) };
      [node, key, offset] = [pair.value, String(step), startOf(pair.key) ?? offset];
    } else if (isSeq(into) && typeof step === "number" && step < into.items.length) {
      node = into.items[step];
      offset = startOf(node) ?? offset;
    } else break;
  }
  const empty = node === null || (isScalar(node) && node.value === null);
  return { ...place(empty ? offset : (startOf(node) ?? offset)), state: empty ? "empty" : "present", key };
}

function findKey(document: Document.Parsed, path: KeyPath, place: Locator): Place {
  const parent = document.getIn(path.slice(0, -1), true);
  const into = path.length === 1 ? document.contents : parent;
  const pair = isMap(into) ? into.items.find((item) => keyText(item) === path.at(-1)) : undefined;
  return pair === undefined ? find(document, path, place) : place(startOf(pair.key) ?? 0);
}

function keyText(pair: Pair): string | null {
  return isScalar(pair.key) && typeof pair.key.value === "string" ? pair.key.value : null;
}

function startOf(node: unknown): number | null {
  const range: unknown = typeof node === "object" && node !== null && "range" in node ? node.range : null;
  const start: unknown = Array.isArray(range) ? range[0] : null;
  return typeof start === "number" ? start : null;
}
