import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { codeOf, must } from "../errors.ts";
import { isName } from "./fields.ts";
import { suggest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import { isMap } from "./references.ts";
import { readYamlFile } from "./yaml-file.ts";
import type { KeyPath, YamlFile } from "./yaml-file.ts";

/**
 * A policy that extends another: its file is laid over that one's, key by key. Lists, schedules and retentions are replaced whole (half of one and half of another would be neither), and `none` takes away
 * what would be inherited. What is found wrong later is found in the file that says it.
 */
export interface LayeredFile extends YamlFile {
  /** The file itself, then what it extends, and so on. */
  readonly layers: readonly YamlFile[];
}

export type LayeredResult = { readonly ok: true; readonly yaml: LayeredFile } | { readonly ok: false; readonly problems: Problem[] };

/** Of each file by itself: a policy that extends another does not take over who it is, or for whom. */
const OWN_KEYS: readonly string[] = ["name", "extends", "appliesTo"];
const WHOLE_KEYS: readonly string[] = ["schedule", "retention"];
const REMOVED = "none";

export async function readLayers(path: string): Promise<LayeredResult> {
  const layers: YamlFile[] = [];
  const names: string[] = [];
  for (let file = path; ;) {
    const read = await readYamlFile(file);
    if (!read.ok) return read;
    layers.push(read.yaml);
    names.push(basename(file, ".yaml"));
    const parent = isMap(read.yaml.value) ? read.yaml.value["extends"] : undefined;
    if (!isName(parent)) break;
    const problem = await parentProblem(read.yaml, parent, names);
    if (problem !== null) return { ok: false, problems: [problem] };
    file = join(dirname(file), `${parent}.yaml`);
  }
  return { ok: true, yaml: layered(layers) };
}

async function parentProblem(yaml: YamlFile, parent: string, names: readonly string[]): Promise<Problem | null> {
  const { file, line, column } = yaml.find(["extends"]);
  if (names.includes(parent)) return { file, line, column, message: `extends itself: ${[...names, parent].join(" extends ")}`, hint: "let one of them extend none of the others" };
  const available = await policyNames(dirname(file));
  if (available.includes(parent)) return null;
  return { file, line, column, message: `there is no ${parent}.yaml beside this file`, hint: suggest(parent, available) };
}

/** The names of the policies in a folder; none where there is no folder. */
export async function policyNames(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => name.endsWith(".yaml")).map((name) => basename(name, ".yaml"));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/** One file out of several, the first over the second and so on. */
function layered(layers: readonly YamlFile[]): LayeredFile {
  const own = must(layers[0], "a policy's own file");
  const knows = (path: KeyPath): YamlFile | undefined => layers.find((layer) => layer.find(path).state !== "missing");
  /** Where nobody says it: the file that says most of the way to it. */
  const nearest = (path: KeyPath): YamlFile => {
    for (let length = path.length; length > 0; length--) {
      const layer = knows(path.slice(0, length));
      if (layer !== undefined) return layer;
    }
    return own;
  };
  return {
    file: own.file,
    layers,
    value: layers.map(({ value }) => value).reduceRight((base, over) => merge(withoutOwn(base), over)),
    problems: layers.flatMap(({ problems }) => problems),
    find: (path) => nearest(path).find(path),
    findKey: (path) => nearest(path).findKey(path),
  };
}

function withoutOwn(value: unknown): unknown {
  return isMap(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => !OWN_KEYS.includes(key))) : value;
}

function merge(base: unknown, over: unknown): unknown {
  if (!isMap(base) || !isMap(over)) return over;
  const removed = Object.keys(over).filter((key) => over[key] === REMOVED && Object.hasOwn(base, key));
  const said = Object.entries(over).map(([key, value]) => [key, WHOLE_KEYS.includes(key) ? value : merge(base[key], value)] as const);
  return Object.fromEntries([...Object.entries(base), ...said].filter(([key]) => !removed.includes(key)));
}

/** Where a part of a policy is written. */
export interface Origin {
  /** `backups.full.retention`. */
  readonly key: string;
  /** The policy whose file says it. */
  readonly policy: string;
  readonly file: string;
  readonly line: number;
}

/** What is written where, as few lines as say it: a part that comes from one file as a whole is one. Empty: the policy extends none. */
export function originsOf(yaml: LayeredFile): Origin[] {
  if (yaml.layers.length === 1) return [];
  return originsAt(yaml, yaml.value, []).filter(({ key }) => key !== "version" && !OWN_KEYS.includes(key));
}

function originsAt(yaml: LayeredFile, value: unknown, path: readonly string[]): Origin[] {
  const { file, line } = yaml.findKey(path.length === 0 ? ["name"] : path);
  const here = { key: path.join("."), policy: basename(file, ".yaml"), file, line };
  if (!isMap(value) || WHOLE_KEYS.includes(path.at(-1) ?? "")) return [here];
  const parts = Object.entries(value).flatMap(([key, part]) => originsAt(yaml, part, [...path, key]));
  const [first] = parts;
  return first !== undefined && path.length > 0 && parts.every((part) => part.file === first.file) ? [{ ...here, policy: first.policy, file: first.file }] : parts;
}
