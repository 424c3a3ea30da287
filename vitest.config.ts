import { defineConfig } from "vitest/config";

/**
 * One project a kind of test. Those that start servers have a set-up that finds PostgreSQL, minutes instead of seconds, and at most three files at once:
 * much of their time is waiting, but more servers than that on a small machine only wait for each other.
 */
const MINUTE_MS = 60_000;
const WORKERS = 3;

const withServers = {
  globalSetup: ["test/support/postgres-setup.ts"],
  pool: "forks" as const,
  maxWorkers: WORKERS,
  testTimeout: 5 * MINUTE_MS,
  hookTimeout: 5 * MINUTE_MS,
  teardownTimeout: MINUTE_MS,
};

export default defineConfig({
  test: {
    watch: false,
    passWithNoTests: true,
    maxWorkers: WORKERS,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/support/**/*.unit.test.ts"], testTimeout: 20_000 } },
      { extends: true, test: { name: "property", include: ["test/property/**/*.test.ts"], testTimeout: MINUTE_MS } },
      { extends: true, test: { name: "contract", include: ["test/contract/**/*.test.ts"], testTimeout: MINUTE_MS, hookTimeout: MINUTE_MS } },
      { extends: true, test: { name: "golden", include: ["test/golden/**/*.test.ts"], testTimeout: MINUTE_MS } },
      { extends: true, test: { name: "fault", include: ["test/fault/**/*.test.ts"], ...withServers } },
      { extends: true, test: { name: "browser", include: ["test/browser/**/*.test.ts"], testTimeout: 2 * MINUTE_MS, hookTimeout: 2 * MINUTE_MS } },
      // Minutes more, and what tests the tests: by 'npm test -- --all'.
      { extends: true, test: { name: "deep", include: ["test/deep/**/*.test.ts", "test/support/**/*.pg.test.ts"], ...withServers } },
      { extends: true, test: { name: "torture", include: ["test/torture/**/*.test.ts"], ...withServers } },
      { extends: true, test: { name: "pg", include: ["test/pg/**/*.pg.test.ts"], ...withServers } },
    ],
  },
});
