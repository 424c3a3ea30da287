import { expect, test } from "vitest";
import { ALERT_KINDS } from "../../src/domain/alert-kinds.ts";
import { readProjectFile } from "../support/markdown.ts";

test("docs/alerts.md lists every kind of alert as the table of the program has it, and no other", () => {
  const rows = readProjectFile("docs/alerts.md")
    .split("\n")
    .filter((line) => /^\| `[a-z0-9_]+` \| P\d \|/.test(line));
  expect(rows).toEqual(
    Object.entries(ALERT_KINDS).map(
      ([kind, { severity, means, whatToDo, raiseAfterSeconds, clearAfterSeconds }]) =>
        `| \`${kind}\` | ${severity} | ${means} | ${whatToDo} | ${raiseAfterSeconds} s, ${clearAfterSeconds} s |`,
    ),
  );
});
