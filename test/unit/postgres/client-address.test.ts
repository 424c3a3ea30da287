import { expect, test } from "vitest";
import { clientAddress } from "../../../src/postgres/client-address.ts";

test.each([
  ["postgres://me:s%40cret@db.example:5433/app?sslmode=require", "shop", "postgresql://me@db.example:5433/shop?sslmode=require", "s@cret"],
  ["postgres://me@/app?host=%2Ftmp%2Fhf&port=5432", "odd / name", "postgresql://me@/odd%20%2F%20name?host=%2Ftmp%2Fhf&port=5432", undefined],
  ["postgres://me@db/app?password=hunter2", null, "postgresql://me@db/app", "hunter2"],
])("the address %s is told to a program without its password", (url, database, dbname, password) => {
  const address = clientAddress(url, database);
  expect(address.dbname).toBe(dbname);
  expect(address.env["PGPASSWORD"]).toBe(password);
});
