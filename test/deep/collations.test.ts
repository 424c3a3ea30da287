import { expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSite } from "../support/site.ts";

interface Drilled {
  readonly verdict: string;
  readonly checks: readonly { readonly name: string; readonly outcome: string; readonly detail: string }[];
}

describePostgres("text that sorts otherwise where it is restored", {}, (binaries) => {
  test("is told by a drill, with the indexes to be built again, and only those", async () => {
    await using source = await startCluster({ binaries });
    await using site = await openSite({ cluster: source });
    await source.sql(`create collation other (provider = libc, locale = 'C.UTF-8')`);
    await source.sql(`create collation unused (provider = libc, locale = 'C.UTF-8')`);
    await source.sql(`create table words (word text collate other, plain text, number int)`);
    await source.sql("create index by_word on words (word)");
    await source.sql("create index by_number on words (number)");
    const drill = async (): Promise<Drilled> => {
      expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
      return (await site.run("drill", "--json")).json<Drilled>();
    };
    const collations = ({ checks }: Drilled): unknown =>
      checks.filter(({ name }) => name === "collation versions (postgres)").map(({ outcome, detail }) => `${outcome}: ${detail}`);

    const same = await drill();
    expect(same.checks.filter(({ outcome }) => outcome === "warn")).toEqual([]);
    expect(collations(same)).toEqual(["pass: text sorts as where the indexes were built"]);

    // As if the source's C library were an older one.
    await source.sql("set allow_system_table_mods = on; update pg_collation set collversion = '0.1' where collname in ('other', 'unused')");
    const changed = await drill();
    expect(changed.verdict).toBe("pass_with_warnings");
    expect(collations(changed)).toEqual([expect.stringMatching(/^warn: public\.other was at version 0\.1 and is at .+ here: reindex public\.by_word$/)]);
  });
});
