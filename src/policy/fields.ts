import { isAbsolute } from "node:path";
import { z } from "zod";
import { formatDuration, MAX_DURATION_SECONDS, parseDuration } from "../domain/duration.ts";
import { suggest } from "./nearest.ts";
import type { SecretRef } from "./types.ts";

/**
 * The values that configuration is made of. A message of these schemas is two lines: what the value must be (read after the name of its key), and a hint.
 * No message quotes the value it refuses.
 */
export function says(message: string, hint: string): string {
  return `${message}\n${hint}`;
}

/** What an editor is told of a value: JSON Schema, as near to what `parse` accepts as it can say. It never refuses what is accepted. */
export type EditorForm = Readonly<Record<string, unknown>>;

/** One form, or several of which any will do; some of them schemas themselves. */
export type EditorForms = EditorForm | readonly (EditorForm | z.ZodType)[];

const forms = new WeakMap<z.core.$ZodType, EditorForms>();

export function editorFormOf(schema: z.core.$ZodType): EditorForms | null {
  return forms.get(schema) ?? null;
}

export function withEditorForm<T extends z.ZodType>(schema: T, form: EditorForms): T {
  forms.set(schema, form);
  return schema;
}

type Parse<T> = (value: unknown) => T | undefined;

/** One value, read by `parse`, which answers undefined for what it does not accept. The hint may depend on the value, but does not repeat it. Without a form an editor accepts anything. */
export function field<T extends {}>(message: string, hint: string | ((value: unknown) => string), ...[first, second]: [Parse<T>] | [EditorForm, Parse<T>]): z.ZodType<T> {
  const form = typeof first === "function" ? {} : first;
  const parse = second ?? (first as Parse<T>);
  const schema = z.unknown().transform((value, context): T => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: "custom", message: says(message, typeof hint === "string" ? hint : hint(value)) });
    return z.NEVER;
  });
  return withEditorForm(schema, { description: typeof hint === "string" ? `${message}: ${hint}` : message, ...form });
}

/** `pattern`: as near as an editor can tell. */
function textField<T extends {}>(message: string, hint: string | ((value: unknown) => string), parse: (text: string) => T | undefined, pattern?: RegExp): z.ZodType<T> {
  return field(message, hint, { type: "string", ...(pattern === undefined ? {} : { pattern: pattern.source }) }, (value) => (typeof value === "string" ? parse(value) : undefined));
}

/** A map with these keys and no others. What is not among them is named, with the nearest that is. */
export function section<S extends z.ZodRawShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? says("unknown key", known.join(" ")) : says("must be a map of keys and values", `known here: ${known.join(", ")}`)),
  });
}

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
const NAME_RULE = "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 characters";

export function isName(text: unknown): text is string {
  return typeof text === "string" && NAME.test(text);
}

/** The name of a source, repository or policy: it becomes part of paths, labels and keys. */
export const nameField = textField("must be a name", NAME_RULE, (text) => (NAME.test(text) ? text : undefined), NAME);

/** A map from names of our own to values of one kind. */
export function namedMap<T extends z.ZodType>(what: string, value: T): z.ZodRecord<z.ZodString, T> {
  return z.record(z.string().regex(NAME), value, {
    error: (issue) =>
      issue.code === "invalid_key"
        ? says(`is no name for a ${what}`, NAME_RULE)
        : says(`must be a map from names to ${what} settings`, `${what === "source" ? "orders" : "onsite"}: { … }`),
  });
}

export const listOf = <T extends z.ZodType>(item: T, hint: string): z.ZodArray<T> => z.array(item, { error: () => says("must be a list", hint) });

export const versionField = field("must be 1", "this Holdfast reads version 1", { const: 1 }, (value) => (value === 1 ? 1 : undefined));

/** Seconds, from `15m`. */
export const durationField = textField(
  "must be a duration",
  `a whole number above 0 and a unit, such as 30s, 15m, 4h, 7d or 12w; at most ${formatDuration(MAX_DURATION_SECONDS)}`,
  (text) => parseDuration(text) ?? undefined,
  /^[1-9]\d{0,9}[smhdw]$/,
);

/** How many backups or periods; the limit only catches slips. */
export const countField = field("must be a whole number from 1 to 10000", "such as 7", { type: "integer", minimum: 1, maximum: 10_000 }, (value) =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 10_000 ? value : undefined,
);

export const numberField = field("must be a number", "such as 1000, without quotes", { type: "number" }, (value) =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined,
);

export const flagField = field("must be true or false", "without quotes; yes and no are words, not answers", { type: "boolean" }, (value) =>
  typeof value === "boolean" ? value : undefined,
);

/** Any text that is not empty and has no control characters but line breaks. */
export const textValue = textField("must be text", "put it in quotes", (text) => (!/(?![\n\t])\p{Cc}/u.test(text) && text.trim() !== "" ? text : undefined));

/** Labels of a source: Prometheus must be content with their names. */
export const labelSection = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/), textValue, {
  error: (issue) =>
    issue.code === "invalid_key" ? "is no name for a label\nletters, digits and '_', at most 63 characters" : "must be a map from names to texts\n{ team: payments }",
});

export function choiceField<const T extends string>(choices: readonly T[]): z.ZodType<T> {
  const hint = (value: unknown): string => suggest(typeof value === "string" ? value : "", choices);
  return field(`must be one of ${choices.join(", ")}`, hint, { enum: [...choices] }, (value) => choices.find((choice) => choice === value));
}

const ENV = /^env:([A-Za-z_][A-Za-z0-9_]*)$/;
const FILE = /^file:(\/[^/\0][^\0]*)$/;

/** Either, as near as an editor can tell. */
const SECRET = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/[^/].*)$/;

export const SECRET_HINT = "env:NAME for an environment variable, or file:/path for a file that holds it";

/** Where a secret is. A secret itself is refused, and never repeated. */
export const secretField = textField(
  "must say where the secret is, not the secret itself",
  (value) => `${SECRET_HINT}${typeof value === "string" ? "; if others have seen this file, change the secret" : ""}`,
  (text): SecretRef | undefined => {
    const [name, path] = [ENV.exec(text)?.[1], FILE.exec(text)?.[1]];
    if (name !== undefined) return { kind: "env", name };
    return path === undefined ? undefined : { kind: "file", path };
  },
  SECRET,
);

/** A secret, or a program that prints it: an argument list, run without a shell. */
export const secretOrCommandField = field(
  "must say where the secret is, not the secret itself",
  (value) =>
    `env:NAME for an environment variable, file:/path for a file that holds it, or { command: [program, argument] } that prints it${typeof value === "string" ? "; if others have seen this file, change the secret" : ""}`,
  {
    anyOf: [
      { type: "string", pattern: SECRET.source },
      { type: "object", required: ["command"], properties: { command: { type: "array", minItems: 1, items: { type: "string" } } } },
    ],
  },
  (value): SecretRef | undefined => {
    const written = secretField.safeParse(value);
    if (written.success) return written.data;
    const command = commandSchema.safeParse(value);
    return command.success ? { kind: "command", command: command.data.command } : undefined;
  },
);

const commandSchema = z.strictObject({ command: z.array(z.string().regex(/^[^\0]*$/)).refine(([program = ""]) => isPath(program)) });

/** The public half of a key, as age prints it. */
export const recipientField = textField("must be an age recipient", "age1…, as 'holdfast key list' prints it", (text) =>
  /^age1[02-9ac-hj-np-z]{58}$/.test(text) ? text : undefined,
);

/** Relative paths count from the folder of the inventory; `~` is the shell's and means nothing here. */
export const pathField = textField("must be a path", "absolute, or relative to the folder of this file; not beginning with ~", (text) => (isPath(text) ? text : undefined));

export const absolutePathField = textField("must be an absolute path", "beginning with /", (text) => (isPath(text) && isAbsolute(text) ? text : undefined), /^\//);

function isPath(text: string): boolean {
  return text.trim() === text && text !== "" && !text.startsWith("~") && !text.includes("\0");
}

/** The prefix in a bucket is of the segments that the keys of a repository are made of (docs/repository-format.md, section 2). */
const S3_URL = /^s3:\/\/[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9](?=.{0,121}$)(?:\/[A-Za-z0-9][A-Za-z0-9._+-]*)*\/?$/;

export const repositoryUrlField = textField(
  "must be file:///absolute/path or s3://bucket/prefix",
  "such as file:///srv/holdfast or s3://backups/holdfast",
  (text) => {
    if (S3_URL.test(text)) return text;
    if (!text.startsWith("file:///") || !URL.canParse(text)) return undefined;
    const { host, pathname, search, hash } = new URL(text);
    return host === "" && search === "" && hash === "" && !pathname.startsWith("//") && /[^/]/.test(pathname) && !/%(2f|00)/i.test(pathname) ? text : undefined;
  },
  /^(s3:\/\/[A-Za-z0-9]|file:\/\/\/.)/,
);

/** It is printed in messages, so it holds no credentials. */
export function isEndpoint(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password, search, hash } = new URL(text);
  return username === "" && password === "" && search === "" && hash === "";
}

export const endpointField = textField("must be http:// or https:// and a host", "such as https://s3.example.com:9000, without credentials", (text) =>
  isEndpoint(text) ? text : undefined,
);

export const regionField = textField("must be the name of a region", "such as eu-central-1", (text) => (/^[A-Za-z0-9-]{1,40}$/.test(text) ? text : undefined));

/** Servers have names of their own for classes. Those that must be thawed for hours first are none for a repository. */
export const storageClassField = textField("must be a storage class that can be read at once", "such as STANDARD_IA or GLACIER_IR; not GLACIER or DEEP_ARCHIVE", (text) =>
  /^[A-Za-z][A-Za-z0-9_.-]{0,60}$/.test(text) && !["GLACIER", "DEEP_ARCHIVE"].includes(text) ? text : undefined,
);

const BYTE_UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** Bytes, from `500GB`: as on disks, KB is 1000 and KiB 1024. */
export const sizeField = textField("must be a size", "a whole number above 0 and a unit, such as 512MiB, 500GB or 2TB", parseBytes);

/** Bytes a second. */
export const rateField = textField("must be bytes a second", "a size and /s, such as 50MB/s", (text) => (text.endsWith("/s") ? parseBytes(text.slice(0, -2)) : undefined));

function parseBytes(text: string): number | undefined {
  const match = /^([1-9]\d{0,8}) ?(B|[KMGT]i?B)$/.exec(text);
  const bytes = match === null ? NaN : Number(match[1]) * BYTE_UNITS[match[2] as keyof typeof BYTE_UNITS];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:8420`, `[::1]:8420`, `host:0` for any free port. */
export const listenField = textField("must be host:port", "such as 127.0.0.1:8420 or [::1]:8420", (text): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const [host, port] = [match?.[1] ?? match?.[2], Number(match?.[3])];
  return host === undefined || port > 65_535 ? undefined : { host, port };
});
