// @redoubt/verify, asked by: redoubt conformance -- node tools/run.mjs examples/conformance/redoubt.mjs
import { createInterface } from "node:readline";
import { createVerifier, fromStaticKeys } from "@redoubt/verify";

const clock = { now: 0 };
let verifier;

function open({ keys, scope, audience, clockToleranceSeconds, maxTokenLength }) {
  const scopes = new Map(scope.keys.map(({ kid, ...rest }) => [kid, rest]));
  return createVerifier({
    trust: fromStaticKeys({
      keys: keys.keys.map((jwk) => ({ jwk, ...scopes.get(jwk.kid) })),
    }),
    audience,
    accept: scope.accept,
    issuance: "off",
    clockToleranceSeconds,
    maxTokenLength,
    now: () => clock.now * 1000,
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, now, token, ...setting } = JSON.parse(line);
  clock.now = now;
  verifier ??= await open(setting);
  let answer = { id, accepted: true };
  try {
    verifier.verify(token);
  } catch (error) {
    answer = { id, accepted: false, error: error.code };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
