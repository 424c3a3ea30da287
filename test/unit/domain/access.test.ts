import { expect, test } from "vitest";
import { isInScope, parseScope } from "../../../src/domain/access.ts";

const orders = { name: "orders", labels: { team: "payments", region: "eu=1" } };

test.each([
  [null, true],
  [[], false],
  [["orders"], true],
  [["wiki"], false],
  [["wiki", "team=payments"], true],
  [["team=web"], false],
  [["region=eu=1"], true],
  [["constructor=Object", "toString="], false],
  [["team"], false],
])("a token for %j sees the source: %s", (scope, sees) => {
  expect(isInScope(scope, orders)).toBe(sees);
});

test("a scope is written as names and labels", () => {
  expect(parseScope("orders, team=payments,orders")).toEqual(["orders", "team=payments"]);
});

test.each(["", ",", "orders,", "Orders", "a b", "=x", "team=", "../x"])("%j is no scope", (written) => {
  expect(parseScope(written)).toBeNull();
});
