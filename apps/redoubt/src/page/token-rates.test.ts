import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenRates } from "./token-rates.ts";

/** The rate of the consumer realm after its issuer answered these, each 5 s after the one before. */
async function rateOf(answers: readonly unknown[]): Promise<number | null | undefined> {
  const left = [...answers];
  const issuer = { ask: () => Promise.resolve(left.shift()) };
  using rates = new TokenRates(new Map([["issuer-consumer", issuer]]));
  // One sample after the other: time goes on between them.
  // oxlint-disable-next-line no-await-in-loop
  for (const i of answers.keys()) await rates.sample(i * 5000);
  return rates.rates.find(({ realm }) => realm === "consumer")?.perMinute;
}

function issued(value: number): string {
  return JSON.stringify({ samples: [{ name: "redoubt_tokens_issued_total", value }] });
}

test("tokens a minute are what the counter gained", async () => {
  assert.equal(await rateOf([issued(100)]), null);
  assert.equal(await rateOf([issued(100), issued(150), issued(200)]), 600);
});

test("only the last minute counts", async () => {
  const still = Array.from({ length: 13 }, () => issued(500));
  assert.equal(await rateOf([issued(0), ...still]), 0);
});

test("a counter that begins again, and an issuer that was silent, begin a new rate", async () => {
  assert.equal(await rateOf([issued(100), issued(1100), issued(0)]), null);
  assert.equal(await rateOf([issued(100), issued(1100), issued(0), issued(1)]), 12);
  assert.equal(await rateOf([issued(100), undefined, issued(1100)]), null);
});

test("an issuer that says anything else has no rate", async () => {
  const hostile = [issued(-5), issued(1.5), issued(1e300), "{", "[]", { samples: [] }, 7, null];
  for (const answer of hostile) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, so that a failure names its answer
    assert.equal(await rateOf([issued(1), answer]), null, JSON.stringify(answer));
  }
});
