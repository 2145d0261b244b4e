// Writes vectors/verifier/tokens.json and key-records.json. Run it after a change to the cases, then oxfmt; ES256 and PS256
// signatures are random, so that the files differ each time.
import { writeFileSync } from "node:fs";
import { AUDIENCE, CONSUMER_ISSUER, ENTERPRISE_RULE, NOW, signedRecord } from "./fixture.ts";
import { corpusCases, corpusKeys } from "./corpus-cases.ts";
import { classOf, corpusClasses, plainVerifier } from "./corpus-classes.ts";
import { pinOf, testKey, VECTORS } from "./keys.ts";
import { recordCases } from "./record-cases.ts";

const tokens = {
  note: "Each token is looked at with the clock at `now` (its own, or the file's) and a tolerance of 60 s",
  now: NOW,
  audience: AUDIENCE,
  accept: [ENTERPRISE_RULE, { issuer: CONSUMER_ISSUER, realm: "consumer", tenants: "any" }],
  keys: corpusKeys(),
  plainVerifier: plainVerifier(),
  classes: corpusClasses(),
  tests: corpusCases().map(({ code, part, ...rest }, i) => ({
    id: i + 1,
    ...rest,
    class: classOf(rest),
    result: code === undefined ? "valid" : "invalid",
    code,
    part,
  })),
};
writeFileSync(new URL("tokens.json", VECTORS), `${JSON.stringify(tokens, null, 1)}\n`);

const records = {
  note: "Records as bytes in base64url; `ring` signs 'redoubt/key-record/v1\\n' and the record",
  rings: { enterprise: pinOf(testKey("ring-enterprise")) },
  tests: recordCases().map((test, i) => ({ id: i + 1, ...test })),
};
writeFileSync(new URL("key-records.json", VECTORS), `${JSON.stringify(records, null, 1)}\n`);
// The same maker as the tests use: a record that it cannot read back would be a defect of the generator.
signedRecord("ent-es256");
