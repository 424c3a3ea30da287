import { expect, test } from "vitest";
import { runUserChecks } from "../../../../src/operations/drill/user-checks.ts";

test("a program that checks a restored cluster is told its address, and gets nothing else of our environment", async () => {
  process.env["HOLDFAST_PASSPHRASE_OF_TEST"] = "hunter2";
  try {
    const cluster = { url: (database: string) => `postgresql:///${database}?host=/tmp/x`, connect: () => Promise.reject(new Error("not asked for")) };
    const script = 'test "$HOLDFAST_DRILL_URL" = "postgresql:///postgres?host=/tmp/x" && ! env | grep hunter2 >&2 && env | cut -d= -f1 | sort | tr "\\n" " " >&2; exit 1';
    const check = { kind: "command", name: "ours", command: ["sh", "-c", script], timeoutSeconds: 10, required: true } as const;
    const [result] = await runUserChecks([check], cluster, new AbortController().signal);
    expect([result?.outcome, result?.detail]).toEqual(["fail", expect.stringMatching(/^exit code 1: (?:(?:HOLDFAST_DRILL_URL|LC_ALL|PATH|PWD|OLDPWD|SHLVL|_) ?)+$/)]);
    expect(result?.detail).toContain("HOLDFAST_DRILL_URL");
  } finally {
    delete process.env["HOLDFAST_PASSPHRASE_OF_TEST"];
  }
});
