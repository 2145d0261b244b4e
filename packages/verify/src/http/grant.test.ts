import assert from "node:assert/strict";
import { it } from "node:test";
import { refusalOf } from "./grant.ts";
import { requiredScopes } from "./scopes.ts";

it("without authentication nothing is granted", () => {
  for (const token of [undefined, null])
    assert.equal(refusalOf(token, requiredScopes(["orders.read"]))?.status, 401);
});
