import { once } from "node:events";
import PdfKit from "pdfkit";

/** What a report on paper is put together from: headings, sentences, facts and tables that go on over pages. Lengths are in points. */

const MARGIN = 40;
const BODY = 8.5;
const SMALL = 7;
const PAD = 3;
const INK = "#1b1f24";
const FAINT = "#5c6570";
const LINE = "#c8ced6";
const HEAD = "#eef1f4";

export interface PdfTable {
  readonly caption: string;
  /** Those whose name ends in `#` are figures, and stand to the right. */
  readonly columns: readonly { readonly name: string; readonly share: number }[];
  readonly rows: Iterable<readonly string[]>;
  /** What it means that there are no rows. */
  readonly empty: string;
}

export class PdfPages {
  readonly #document: PDFKit.PDFDocument;
  readonly #width: number;
  readonly #bytes: Buffer[] = [];

  /** `at`: when it was made, so that the same report gives the same bytes. */
  constructor({ title, at }: { title: string; at: Date }) {
    const info = { Title: title, Creator: "holdfast", Producer: "holdfast", CreationDate: at };
    this.#document = new PdfKit({ size: "A4", layout: "landscape", margin: MARGIN, info, lang: "en", displayTitle: true, pdfVersion: "1.7" });
    this.#document.on("data", (bytes: Buffer) => this.#bytes.push(bytes));
    this.#width = this.#document.page.width - 2 * MARGIN;
  }

  /** The whole document. Nothing can be added after it. */
  async end(): Promise<Buffer> {
    const ended = once(this.#document, "end");
    this.#document.end();
    await ended;
    return Buffer.concat(this.#bytes);
  }

  title(text: string, kind: string): void {
    this.#document.font("Helvetica").fontSize(SMALL).fillColor(FAINT).text(printable(kind)).moveDown(0.4);
    this.#document.font("Helvetica-Bold").fontSize(18).fillColor(INK).text(printable(text)).moveDown(0.3);
  }

  heading(text: string): void {
    this.#keepTogether(60);
    this.#document.moveDown(0.8).font("Helvetica-Bold").fontSize(12).fillColor(INK).text(printable(text), MARGIN).moveDown(0.3);
  }

  paragraph(text: string): void {
    this.#document.font("Helvetica").fontSize(BODY).fillColor(INK).text(printable(text), MARGIN, undefined, { width: this.#width }).moveDown(0.3);
  }

  /** Facts as name and value. */
  facts(pairs: readonly (readonly [string, string])[]): void {
    for (const [name, value] of pairs) {
      this.#document
        .font("Helvetica-Bold")
        .fontSize(BODY)
        .fillColor(FAINT)
        .text(`${printable(name)}: `, MARGIN, undefined, { continued: true, width: this.#width });
      this.#document.font("Helvetica").fillColor(INK).text(printable(value));
    }
  }

  table({ caption, columns, rows, empty }: PdfTable): void {
    const total = columns.reduce((sum, { share }) => sum + share, 0);
    const heads = columns.map(({ name, share }) => ({
      name: name.replace(/#$/, ""),
      align: name.endsWith("#") ? ("right" as const) : ("left" as const),
      width: (share / total) * this.#width,
    }));
    let isEmpty = true;
    for (const row of rows) {
      if (isEmpty) this.#captionAndHead(caption, heads);
      isEmpty = false;
      this.#row(heads, row, false);
    }
    if (isEmpty) this.paragraph(`${caption}: ${empty}`);
    this.#document.moveDown(0.4);
  }

  #captionAndHead(caption: string, heads: readonly Head[]): void {
    this.#keepTogether(50);
    this.#document.font("Helvetica").fontSize(SMALL).fillColor(FAINT).text(printable(caption), MARGIN).moveDown(0.2);
    this.#headRow(heads);
  }

  #headRow(heads: readonly Head[]): void {
    this.#row(
      heads,
      heads.map(({ name }) => name),
      true,
    );
  }

  #row(heads: readonly Head[], cells: readonly string[], isHead: boolean): void {
    const document = this.#document.font(isHead ? "Helvetica-Bold" : "Helvetica").fontSize(SMALL);
    const texts = heads.map((_, i) => shortened(printable(cells[i] ?? "")));
    const height = Math.max(...heads.map(({ width, align }, i) => document.heightOfString(texts[i] ?? "", { width: width - 2 * PAD, align }))) + 2 * PAD;
    if (!isHead && this.#keepTogether(height)) this.#headRow(heads);
    // The head of the new page may have chosen another font.
    document.font(isHead ? "Helvetica-Bold" : "Helvetica").fontSize(SMALL);
    const top = document.y;
    if (isHead) document.rect(MARGIN, top, this.#width, height).fill(HEAD);
    let left = MARGIN;
    for (const [i, { width, align }] of heads.entries()) {
      document.fillColor(INK).text(texts[i] ?? "", left + PAD, top + PAD, { width: width - 2 * PAD, align });
      left += width;
    }
    document
      .moveTo(MARGIN, top + height)
      .lineTo(MARGIN + this.#width, top + height)
      .lineWidth(0.4)
      .strokeColor(LINE)
      .stroke();
    document.x = MARGIN;
    document.y = top + height;
  }

  /** Begins a page if there is no room for so much. */
  #keepTogether(height: number): boolean {
    if (this.#document.y + height <= this.#document.page.height - MARGIN) return false;
    this.#document.addPage();
    return true;
  }
}

interface Head {
  readonly name: string;
  readonly align: "left" | "right";
  readonly width: number;
}

/** The fonts that every reader has know Latin-1 alone. */
function printable(text: string): string {
  return text
    .replaceAll("–", "-")
    .replaceAll(/\p{Cc}/gu, " ")
    .replaceAll(/[^\u0020-\u007e\u00a0-\u00ff]/gu, "?");
}

/** A cell that is longer would fill a page by itself; the JSON has all of it. */
const MOST_CHARACTERS = 600;

function shortened(text: string): string {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)} ...`;
}
