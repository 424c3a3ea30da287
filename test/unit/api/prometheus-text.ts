/** The Prometheus text format 0.0.4, read strictly: anything the format does not allow is an error. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];

export function parsePrometheusText(text: string): Map<string, MetricFamily> {
  if (!text.endsWith("\n")) throw new Error("the last line must end with a line feed");
  const families = new Map<string, MetricFamily>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let current: MetricFamily | null = null;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      if (!NAME.test(name) || families.has(name)) throw new Error(`help twice or for no name: ${line}`);
      help = { name, text: rest };
    } else if (keyword === "TYPE") {
      if (help?.name !== name || !TYPES.includes(rest)) throw new Error(`type without help, or unknown: ${line}`);
      families.set(name, (current = { name, help: help.text, type: rest, samples: [] }));
    } else {
      const sample = parseSample(line);
      if (sample.name !== current?.name) throw new Error(`outside its family: ${line}`);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).toSorted(([a], [b]) => a.localeCompare(b))]);
      if (seen.has(key)) throw new Error(`the same series twice: ${line}`);
      seen.add(key);
      current.samples.push({ labels: sample.labels, value: sample.value });
    }
  }
  return families;
}

function parseSample(line: string): { name: string; labels: Record<string, string>; value: number } {
  const [, name = "", labelText, valueText = ""] = SAMPLE.exec(line) ?? [];
  if (name === "") throw new Error(`not a sample: ${line}`);
  const value = valueText === "+Inf" ? Infinity : valueText === "-Inf" ? -Infinity : valueText === "NaN" ? Number.NaN : Number(valueText);
  if (valueText !== "NaN" && Number.isNaN(value)) throw new Error(`not a number: ${line}`);
  const labels: Record<string, string> = {};
  for (let at = 0; labelText !== undefined && at < labelText.length;) {
    LABEL.lastIndex = at;
    const [whole, label = "", escaped = ""] = LABEL.exec(labelText) ?? [];
    if (whole === undefined || label in labels) throw new Error(`not a list of labels: ${line}`);
    labels[label] = escaped.replaceAll(/\\(["\\n])/g, (_, character: string) => (character === "n" ? "\n" : character));
    at += whole.length;
  }
  return { name, labels, value };
}
