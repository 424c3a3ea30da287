import { HoldfastError } from "../errors.ts";

/**
 * Names of files as the map writes them. On Linux a name is bytes; in the map it is text. So `%`, `\`, and bytes that are no UTF-8 are written as `%` and two hex digits: there is one way to write
 * each name, and every name comes back byte for byte.
 */

const PLAIN = /^[^%\\\uFFFD]*$/;

/** A name, or a path of names, as the map has it. Names that are no UTF-8 come as bytes. */
export function writeName(name: string | Buffer): string {
  if (typeof name === "string" && PLAIN.test(name)) return name;
  const bytes = typeof name === "string" ? Buffer.from(name) : name;
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    const character = length === 0 ? "" : bytes.toString("utf8", at, at + length);
    text += length === 0 || character === "%" || character === "\\" ? `%${bytes.toString("hex", at, at + 1).toUpperCase()}` : character;
    at += Math.max(1, length);
  }
  return text;
}

/** Bytes of the UTF-8 character at a place; 0 where there is none. */
function characterLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const piece = bytes.subarray(at, at + length);
  // What does not come back as it was (too long a form, half of a pair) is no character.
  return Buffer.from(piece.toString("utf8")).equals(piece) ? length : 0;
}

/** What the map wrote, as the operating system takes it. Rejects names that nobody of ours writes. */
export function readName(text: string): string | Buffer {
  if (!text.includes("%")) return text;
  const bytes = Buffer.concat(text.split(/(%[0-9A-F]{2})/).map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.from(part.slice(1), "hex"))));
  if (writeName(bytes) !== text) throw new HoldfastError("HF-DAMAGE", `no name of a file is written ${JSON.stringify(text)}`, { hint: "run 'holdfast verify'" });
  return bytes.equals(Buffer.from(bytes.toString("utf8"))) ? bytes.toString("utf8") : bytes;
}

/** A path of the map below a folder. It was found to be safe as it is written; that it is when it is read follows from there being one way to write a name. */
export function placeBelow(folder: string, path: string): string | Buffer {
  const name = readName(path);
  if (name.includes("\0")) throw new HoldfastError("HF-DAMAGE", `no file is named ${JSON.stringify(path)}`, { hint: "run 'holdfast verify'" });
  return typeof name === "string" ? `${folder}/${name}` : Buffer.concat([Buffer.from(`${folder}/`), name]);
}
