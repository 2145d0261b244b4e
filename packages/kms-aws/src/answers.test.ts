import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readAliases, readMetadata, readTags } from "./answers.ts";

const REGION = "eu-central-1";
const ID = "1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER = "1234abcd-12ab-34cd-56ef-1234567890ac";
const KEY = {
  KeyId: ID,
  Arn: `arn:aws:kms:${REGION}:111122223333:key/${ID}`,
  KeyState: "Enabled",
  KeySpec: "ECC_NIST_P256",
  KeyUsage: "SIGN_VERIFY",
  Origin: "AWS_KMS",
  KeyManager: "CUSTOMER",
};
const ANSWER = { name: "KeyError", code: "ERR_KEY_CUSTODY" };

function tags(count: number) {
  return { Tags: Array.from({ length: count }, (_, i) => ({ TagKey: String(i), TagValue: "" })) };
}

describe("answers of AWS KMS", () => {
  it("are of a key in this region, by one and the same id", () => {
    for (const partition of ["aws", "aws-cn", "aws-us-gov"]) {
      const Arn = KEY.Arn.replace("arn:aws:", `arn:${partition}:`);
      assert.equal(readMetadata({ KeyMetadata: { ...KEY, Arn } }, REGION).arn, Arn);
    }
    for (const change of [
      { KeyId: OTHER },
      { KeyId: ID.toUpperCase() },
      { Arn: KEY.Arn.replace(ID, OTHER) },
      { Arn: KEY.Arn.replace(REGION, "eu-central-2") },
      { Arn: KEY.Arn.replace("kms", "s3") },
      { Arn: `${KEY.Arn}/x` },
      { Arn: ID },
    ])
      assert.throws(() => readMetadata({ KeyMetadata: { ...KEY, ...change } }, REGION), ANSWER);
  });

  it("have every member, each as text of a bounded length", () => {
    for (const name of Object.keys(KEY))
      for (const value of [undefined, 1, null, {}, "x".repeat(2049)])
        assert.throws(
          () => readMetadata({ KeyMetadata: { ...KEY, [name]: value } }, REGION),
          ANSWER,
          name,
        );
    for (const answer of [undefined, null, 1, [], {}, { KeyMetadata: [] }])
      assert.throws(() => readMetadata(answer, REGION), ANSWER);
    // Inherited is not answered.
    assert.throws(() => readMetadata(Object.create({ KeyMetadata: KEY }), REGION), ANSWER);
    for (const MultiRegion of [true, false, undefined]) {
      const { isMultiRegion } = readMetadata({ KeyMetadata: { ...KEY, MultiRegion } }, REGION);
      assert.equal(isMultiRegion, MultiRegion === true);
    }
  });

  it("are lists of a bounded length", () => {
    assert.equal(readTags(tags(1000)).size, 1000);
    assert.throws(() => readTags(tags(1001)), ANSWER);
    // An alias without a key is one of AWS itself.
    assert.deepEqual(readAliases({ Aliases: [{ AliasName: "alias/aws/x" }] }), {
      aliases: [{ name: "alias/aws/x", keyId: undefined }],
      marker: undefined,
    });
  });
});
