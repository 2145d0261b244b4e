// jose with every option that it has for this, asked by: redoubt conformance -- node examples/conformance/jose.mjs
import { createInterface } from "node:readline";
import { createLocalJWKSet, jwtVerify } from "jose";

let keySet;
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const { id, token, now, keys, issuer, audience, algorithms, typ } = question;
  keySet ??= createLocalJWKSet(keys);
  let answer = { id, accepted: true };
  try {
    await jwtVerify(token, keySet, {
      issuer,
      audience,
      algorithms,
      typ,
      clockTolerance: question.clockToleranceSeconds,
      currentDate: new Date(now * 1000),
      requiredClaims: ["exp", "iat", "sub", "jti"],
    });
  } catch (error) {
    answer = { id, accepted: false, error: error.code ?? error.name };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
