/** The main job, damage, gaps, kills and a bare machine once more, with the repository in a bucket of a real S3 server. */
process.env["HOLDFAST_TEST_REPOSITORY"] = "bucket";
await import("../pg/main-job.pg.test.ts");
await import("../pg/gap.pg.test.ts");
await import("../pg/bare-machine.pg.test.ts");
await import("../fault/crash.test.ts");
await import("../fault/damage.test.ts");
