/** The main job, damage, gaps, kills and a bare machine once more, with one copy in a folder and one in a bucket, written at once. */
process.env["HOLDFAST_TEST_REPOSITORY"] = "both";
await import("../pg/main-job.pg.test.ts");
await import("../pg/gap.pg.test.ts");
await import("../pg/bare-machine.pg.test.ts");
await import("../fault/crash.test.ts");
await import("../fault/damage.test.ts");
