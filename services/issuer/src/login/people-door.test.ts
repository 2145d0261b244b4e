import assert from "node:assert/strict";
import { mock, describe, it } from "node:test";
import type { HttpRequest } from "@redoubt/http";
import { StoreError } from "@redoubt/store";
import { ISSUER } from "@redoubt/wire";
import { LoginPaths } from "./login-place.ts";
import type { People } from "./open-people.ts";
import { PeopleDoor } from "./people-door.ts";

const TENANT = "aaaaaaaa-2222-4333-8444-555555555555";
const MOUNT = `/${TENANT}/oauth2/v2.0`;
const paths = new LoginPaths({
  loginOrigin: new URL("https://login.test"),
  tokenEndpoint: "https://login.test/{tenantid}/oauth2/v2.0/token",
  tenant: null,
});
const ANSWER = { status: 200, headers: [], body: "people" };
const people: People = {
  login: { token: () => Promise.resolve(ANSWER), answer: () => Promise.resolve(ANSWER) },
  routes: [{ op: ISSUER.listPeople.op, handle: () => Promise.resolve({ head: { total: 0 } }) }],
};

function request(path: string): HttpRequest {
  return {
    method: "GET",
    path,
    query: "",
    headers: {},
    rawHeaders: [],
    address: "127.0.0.1",
    id: "r-1",
    body: Buffer.alloc(0),
    promote: () => undefined,
  };
}

/** A door whose people can be opened after so many failures. */
function doorAfter(failures: number, hasMessages = false) {
  const seen = { opened: 0, closed: 0, failed: [] as string[] };
  const door = new PeopleDoor({
    paths,
    hasMessages: () => hasMessages,
    failed: (code) => seen.failed.push(code),
    open: (stack) => {
      seen.opened += 1;
      if (seen.opened <= failures)
        return Promise.reject(new StoreError("ERR_STORE_CORRUPT", "Store is damaged"));
      stack.defer(() => {
        seen.closed += 1;
      });
      return Promise.resolve(people);
    },
  });
  return { door, seen };
}

describe("the door of the people", () => {
  it("is opened by the first who comes, once; services' tokens pass it by", async () => {
    const { door, seen } = doorAfter(0);
    for (const path of [`${MOUNT}/token`, "/health", "/x"])
      assert.equal(door.takes(request(path)), false);
    assert.equal(seen.opened, 0);
    assert.equal(door.takes(request(`${MOUNT}/passkeys`)), true);
    const all = Array.from({ length: 3 }, () => door.answer(request(`${MOUNT}/passkeys`)));
    for (const answer of await Promise.all(all)) assert.equal(answer.body, "people");
    await door.token(request(`${MOUNT}/token`), TENANT, new Map());
    assert.equal(seen.opened, 1);
    await door[Symbol.asyncDispose]();
    assert.equal(seen.closed, 1);
  });

  it("a store that cannot be opened is the people's trouble alone, and tried again: ERR_ISSUER_PEOPLE", async () => {
    const { door, seen } = doorAfter(2);
    const page = await door.answer(request(`${MOUNT}/passkeys`));
    assert.equal(page.status, 503);
    assert.match(String(page.body), /<!doctype html>/);
    await assert.rejects(door.token(request(`${MOUNT}/token`), TENANT, new Map()), {
      code: "ERR_ISSUER_PEOPLE",
      status: 503,
    });
    assert.equal((await door.answer(request(`${MOUNT}/passkeys`))).body, "people");
    assert.deepEqual(seen.failed, ["ERR_STORE_CORRUPT", "ERR_STORE_CORRUPT"]);
    await door[Symbol.asyncDispose]();
  });

  it("the operator's socket opens it, too, and has every operation about people", async () => {
    const { door, seen } = doorAfter(0);
    const ops = door.routes.map(({ op }) => op);
    assert.equal(ops.length, Object.keys(ISSUER).length - 3);
    const route = door.routes.find(({ op }) => op === ISSUER.listPeople.op);
    const call = { op: "", caller: "operator", head: {}, attachment: Buffer.alloc(0) };
    assert.deepEqual((await route?.handle(call))?.head, { total: 0 });
    assert.equal(seen.opened, 1);
    await door[Symbol.asyncDispose]();
  });

  for (const hasMessages of [true, false])
    it(`after a start ${hasMessages ? "messages are sent though nobody comes" : "nothing is opened for nobody"}`, async () => {
      mock.timers.enable({ apis: ["setTimeout"] });
      try {
        const { door, seen } = doorAfter(0, hasMessages);
        mock.timers.tick(2999);
        assert.equal(seen.opened, 0);
        mock.timers.tick(1);
        assert.equal(seen.opened, hasMessages ? 1 : 0);
        await door[Symbol.asyncDispose]();
      } finally {
        mock.timers.reset();
      }
    });
});
