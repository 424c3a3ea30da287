import { inflateSync } from "node:zlib";

/** What a PDF of ours says, a line a piece of text, in the order in which it was written: fonts of one byte a character, text shown with TJ. */
export function pdfText(pdf: Buffer): string[] {
  const source = pdf.toString("latin1");
  const lines: string[] = [];
  for (const match of source.matchAll(/\/Filter \/FlateDecode\n?[^]*?>>\nstream\n/g)) {
    const begin = match.index + match[0].length;
    const end = source.indexOf("\nendstream", begin);
    const content = inflateSync(pdf.subarray(begin, end)).toString("latin1");
    for (const [, shown = ""] of content.matchAll(/\[([^\]]*)\] TJ/g))
      lines.push([...shown.matchAll(/<([0-9a-f]*)>/g)].map(([, hex = ""]) => Buffer.from(hex, "hex").toString("latin1")).join(""));
  }
  return lines;
}
