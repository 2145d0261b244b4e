import assert from "node:assert/strict";
import { test } from "node:test";
import type { Demo } from "./demo.ts";
import { loopbackAddresses } from "./init/addresses.ts";
import { CONSUMER_TENANT } from "./layout.ts";
import { chooseAcceptance, readTokenArgument, verdictText } from "./verify.ts";
import { DEMO, TENANT } from "./testing/demo.ts";

const OTHER = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0002";
const NOBODY: Demo = { clients: [], reporters: [] };
const PLACE = loopbackAddresses(7400).realms;
const OPTION = { code: "ERR_OPTION" } as const;

test("the demo API of the enterprise realm is what is verified for by default", () => {
  assert.deepEqual(chooseAcceptance({}, PLACE, DEMO), {
    realm: "enterprise",
    template: "http://127.0.0.1:7400/{tenantid}/v2.0",
    issuer: `http://127.0.0.1:7400/${TENANT}/v2.0`,
    tenants: "any",
    audience: ["a2"],
  });
  const consumer = chooseAcceptance({ realm: "consumer", audience: ["x", "y"] }, PLACE, DEMO);
  assert.equal(consumer.issuer, "http://127.0.0.1:7400/consumer/v2.0");
  assert.deepEqual(consumer.audience, ["x", "y"]);
});

test("a tenant or an issuer narrows what is accepted, and both must mean the same", () => {
  const issuer = `http://127.0.0.1:7400/${OTHER}/v2.0`;
  for (const options of [{ tenant: OTHER }, { issuer }, { tenant: OTHER, issuer }]) {
    const accept = chooseAcceptance(options, PLACE, DEMO);
    assert.equal(accept.issuer, issuer);
    assert.deepEqual(accept.tenants, [OTHER]);
  }
  assert.throws(() => chooseAcceptance({ tenant: TENANT, issuer }, PLACE, DEMO), OPTION);
  const consumer = { realm: "consumer", issuer: "http://127.0.0.1:7400/consumer/v2.0" } as const;
  assert.deepEqual(chooseAcceptance(consumer, PLACE, DEMO).tenants, [CONSUMER_TENANT]);
});

test("an issuer of somewhere else is refused: its keys would not be this system's", () => {
  for (const issuer of [
    "https://login.example/v2.0",
    `http://127.0.0.1:7401/${TENANT}/v2.0`,
    `http://127.0.0.1:7400/${TENANT}/v2.0/`,
    "http://127.0.0.1:7400/consumer/v2.0",
    "http://127.0.0.1:7400/v2.0",
    "",
  ])
    assert.throws(() => chooseAcceptance({ issuer }, PLACE, DEMO), OPTION, issuer);
  const consumer = { realm: "consumer", issuer: `http://127.0.0.1:7400/${TENANT}/v2.0` } as const;
  assert.throws(() => chooseAcceptance(consumer, PLACE, DEMO), OPTION);
});

test("where no demo client is, audience and tenant must be said", () => {
  assert.throws(() => chooseAcceptance({}, PLACE, NOBODY), OPTION);
  assert.throws(() => chooseAcceptance({ audience: ["a"] }, PLACE, NOBODY), OPTION);
  assert.throws(() => chooseAcceptance({ tenant: TENANT }, PLACE, NOBODY), OPTION);
  const said = chooseAcceptance({ audience: ["a"], tenant: TENANT }, PLACE, NOBODY);
  assert.deepEqual(said.tenants, [TENANT]);
});

async function* chunks(...parts: readonly (string | Uint8Array)[]) {
  yield* parts;
}

test("a token comes from the command line, or from a pipe, without the newline", async () => {
  assert.equal(await readTokenArgument(" a.b.c ", chunks()), "a.b.c");
  assert.equal(await readTokenArgument("-", chunks("a.b", Buffer.from(".c\n"))), "a.b.c");
});

test("no token, a terminal, and input without end are refused", async () => {
  await assert.rejects(readTokenArgument("-", chunks()), OPTION);
  await assert.rejects(readTokenArgument("-", chunks(" \n")), OPTION);
  await assert.rejects(readTokenArgument("-", Object.assign(chunks("a"), { isTTY: true })), OPTION);
  let sent = 0;
  const endless = (async function* endless() {
    for (;;) {
      sent += 1;
      yield "x".repeat(10_000);
    }
  })();
  await assert.rejects(readTokenArgument("-", endless), {
    ...OPTION,
    message: /larger than any token/,
  });
  assert.ok(sent < 10);
});

test("a refusal is one line with its code", () => {
  const text = verdictText({
    valid: false,
    code: "ERR_KEY_SCOPE",
    message: "Key scope mismatch",
    part: "realm",
  });
  assert.equal(text, "REFUSED ERR_KEY_SCOPE: Key scope mismatch");
});
