import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, normalize, relative } from "node:path";
import { expect, test } from "vitest";

/**
 * The import table of the house (docs: "nouns below, verbs above"). A folder may import from itself, from the root leaves, and from what is listed;
 * edges wire everything together and nothing imports them. It is read from the text of the files: no tool that could fall silent.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  policy: ["domain"],
  storage: [],
  repository: ["storage", "domain"],
  postgres: ["domain"],
  files: ["domain"],
  catalog: ["domain"],
  access: ["domain", "catalog"],
  operations: ["policy", "domain", "repository", "postgres", "files", "catalog", "access"],
  compliance: ["domain", "catalog", "repository"],
  alerts: ["domain", "catalog"],
  scheduler: ["policy", "domain", "catalog"],
  api: ["policy", "domain", "catalog", "compliance", "alerts", "access"],
  dashboard: ["policy", "domain", "catalog", "compliance", "alerts", "access"],
};
/** The rooms of operations: what each may use of the others. What lies beside them is for all. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  wal: [],
  restore: [],
  backup: ["wal"],
  keys: [],
  expire: ["backup"],
  verify: ["restore"],
  drill: ["restore"],
  recover: ["restore", "drill"],
  copy: ["wal"],
  holds: [],
  policy: [],
  evidence: [],
};
/** Everybody may import these, and they import nothing. */
const ROOT_LEAVES = [
  "src/errors.ts",
  "src/clock.ts",
  "src/crash-points.ts",
  "src/version.ts",
  "src/spare-memory.ts",
  "src/token-bucket.ts",
  "src/small-heap.ts",
  "src/under-way.ts",
];
const EDGES = ["cli", "app.ts", "main.ts", "jobs"];
const EDGE_FILES = ["src/app.ts", "src/open-repositories.ts", "src/open-stores.ts", "src/main.ts", "src/config.ts", "src/prepare-process.mjs"];
/** Pure decisions import nothing that could look outside; croner only computes times. */
const DOMAIN_PACKAGES = ["croner"];
const BANNED_NAMES = ["utils", "util", "helpers", "helper", "index", "common"];

type Sources = ReadonlyMap<string, string>;

const ROOT = join(import.meta.dirname, "..", "..");
const IMPORT = /^\s*(?:import|export)\b(?:[^"';]*?\bfrom)?\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm;

function readSources(): Sources {
  const folders = ["src", "jobs"].filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true }));
  const files = folders.filter((entry) => entry.isFile() && entry.name.endsWith(".ts")).map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
  return new Map(files.map((file) => [file, readFileSync(join(ROOT, file), "utf8")]));
}

function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? "").map((name) => (name.startsWith(".") ? normalize(join(dirname(file), name)) : name));
}

/** `domain`, `cli`, … ; for a file in src itself, its name; `jobs`. */
function partOf(file: string): string {
  const [top = "", second = ""] = file.split("/");
  return top === "src" ? second : top;
}

const isEdge = (file: string): boolean => EDGES.includes(partOf(file)) || EDGE_FILES.includes(file);

function forbiddenImports(sources: Sources): string[] {
  return [...sources].flatMap(([file, text]) =>
    importsOf(file, text)
      .filter((target) => !mayImport(file, target))
      .map((target) => `${file} must not import ${target}`),
  );
}

function mayImport(file: string, target: string): boolean {
  const isOurs = target.startsWith("src/") || target.startsWith("jobs/");
  if (!isOurs) return partOf(file) !== "domain" || DOMAIN_PACKAGES.includes(target);
  if (ROOT_LEAVES.includes(file)) return false;
  if (isEdge(target)) return isEdge(file);
  if (isEdge(file) || ROOT_LEAVES.includes(target)) return true;
  if (dirname(target) === "src") return false;
  if (partOf(file) === partOf(target)) return maySee(roomOf(file), roomOf(target));
  return (ALLOWED[partOf(file)] ?? []).includes(partOf(target));
}

/** The room of operations that a file is in, or null. */
function roomOf(file: string): string | null {
  const [, part, room, name] = file.split("/");
  return part === "operations" && name !== undefined ? (room ?? null) : null;
}

function maySee(from: string | null, to: string | null): boolean {
  return from === null || to === null || from === to || (ROOMS[from] ?? []).includes(to);
}

/** One cycle, as the files on it, or nothing. */
function findCycle(sources: Sources): string[] {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const target of importsOf(file, sources.get(file) ?? "").filter((name) => sources.has(name))) {
      const cycle = visit(target, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of sources.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

function badNames(sources: Sources): string[] {
  return [...sources.keys()].filter((file) => file.split("/").some((part) => BANNED_NAMES.includes(basename(part, ".ts"))));
}

function asksTheMachineForTheTime(sources: Sources): string[] {
  return [...sources].filter(([file, text]) => file !== "src/clock.ts" && /\bnew Date\(\s*\)/.test(text)).map(([file]) => file);
}

function unknownFolders(sources: Sources): string[] {
  const known = new Set([...Object.keys(ALLOWED), ...EDGES]);
  const inKnownRoom = (file: string): boolean => (roomOf(file) ?? "wal") in ROOMS;
  return [...sources.keys()].filter((file) => !inKnownRoom(file) || (!known.has(partOf(file)) && !ROOT_LEAVES.includes(file) && !EDGE_FILES.includes(file)));
}

const sources = readSources();

test("every file is in a folder that the table knows", () => {
  expect(sources.size).toBeGreaterThan(50);
  expect(unknownFolders(sources)).toEqual([]);
});

test("folders import only what the table allows", () => {
  expect(forbiddenImports(sources)).toEqual([]);
});

test("no file leads back to itself through its imports, types included", () => {
  expect(findCycle(sources)).toEqual([]);
});

test("no file has a name that says nothing", () => {
  expect(badNames(sources)).toEqual([]);
});

test("only src/clock.ts asks the machine for the time", () => {
  expect(asksTheMachineForTheTime(sources)).toEqual([]);
});

test.each([
  ["src/domain/planted.ts", 'import { readFile } from "node:fs/promises";'],
  ["src/domain/planted.ts", 'import { z } from "zod";'],
  ["src/domain/planted.ts", 'import type { Policy } from "../policy/types.ts";'],
  ["src/storage/planted.ts", 'import { parseLsn } from "../domain/lsn.ts";'],
  ["src/repository/planted.ts", 'const late = await import("../postgres/connection.ts");'],
  ["src/operations/planted.ts", 'export { run } from "../cli/run.ts";'],
  ["src/operations/planted.ts", 'import "../config.ts";'],
  ["src/operations/verify/planted.ts", 'import { backUp } from "../backup/back-up.ts";'],
  ["src/errors.ts", 'import { lsn } from "./domain/lsn.ts";'],
  ["src/api/planted.ts", 'import {\n  backUp,\n} from "../operations/back-up.ts";'],
])("the check sees what %s must not do: %s", (file, text) => {
  expect(forbiddenImports(new Map([[file, text]]))).toHaveLength(1);
});

test("the check lets pass what is allowed", () => {
  const allowed = new Map([
    ["src/domain/planted.ts", 'import { Cron } from "croner";\nimport { must } from "../errors.ts";\nimport { lsn } from "./lsn.ts";'],
    ["src/operations/planted.ts", 'import { z } from "zod";\nimport { openRepository } from "../repository/repository.ts";\nimport type { Clock } from "../clock.ts";'],
    ["jobs/planted.ts", 'import { openApp } from "../src/app.ts";'],
  ]);
  expect(forbiddenImports(allowed)).toEqual([]);
});

test("the check sees a cycle, a name, a clock, and an unknown folder that are planted", () => {
  const planted = new Map([
    ["src/domain/a.ts", 'import { b } from "./b.ts";'],
    ["src/domain/b.ts", 'import type { C } from "./c.ts";'],
    ["src/domain/c.ts", 'import { a } from "./a.ts";\nconst now = new Date();'],
    ["src/domain/helpers.ts", ""],
    ["src/attic/d.ts", ""],
  ]);
  expect(findCycle(planted)).toEqual(["src/domain/a.ts", "src/domain/b.ts", "src/domain/c.ts", "src/domain/a.ts"]);
  expect(badNames(planted)).toEqual(["src/domain/helpers.ts"]);
  expect(asksTheMachineForTheTime(planted)).toEqual(["src/domain/c.ts"]);
  expect(unknownFolders(planted)).toEqual(["src/attic/d.ts"]);
});
