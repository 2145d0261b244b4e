import assert from "node:assert/strict";
import { it } from "node:test";
import { inspect } from "node:util";
import { isCustodyAway, type CustodyKey } from "@redoubt/custody";
import { KeyError } from "@redoubt/keys";
import * as fc from "fast-check";
import { describeKms, failing, openTestCustodian } from "./testing/fixture.ts";
import { KmsServer, type Fault } from "./testing/kms-server.ts";

const INPUT = Buffer.from("header.payload");

async function codeOfSign(key: CustodyKey): Promise<string> {
  try {
    await key.sign(INPUT);
    return "signed";
  } catch (error) {
    if (error instanceof KeyError) return error.code;
    throw error;
  }
}

/** An answer of so many bytes. */
function sized(size: number): Fault {
  return {
    change: (answer) => {
      const rest = size - JSON.stringify({ ...answer, pad: "" }).length;
      return { ...answer, pad: "x".repeat(rest) };
    },
  };
}

/** Each refusal of KMS, the code that callers see, and how often it was tried. */
const MAPPED: readonly (readonly [Fault, string, number])[] = [
  [{ type: "ThrottlingException" }, "ERR_KEY_BUSY", 4],
  [{ type: "com.amazonaws.kms#ThrottlingException" }, "ERR_KEY_BUSY", 4],
  [{ type: "TooManyRequestsException", status: 429 }, "ERR_KEY_BUSY", 4],
  [{ type: "SomethingNew", status: 429 }, "ERR_KEY_BUSY", 4],
  [{ type: "KMSInternalException", status: 500 }, "ERR_KEY_BUSY", 4],
  [{ type: "DependencyTimeoutException", status: 503 }, "ERR_KEY_BUSY", 4],
  [{ type: "KeyUnavailableException", status: 500 }, "ERR_KEY_BUSY", 4],
  [{ type: "SomethingNew", status: 500 }, "ERR_KEY_BUSY", 4],
  [{ drop: "before" }, "ERR_KEY_BUSY", 4],
  [{ drop: "after" }, "ERR_KEY_BUSY", 4],
  [{ drop: "middle" }, "ERR_KEY_BUSY", 4],
  [{ status: 429, contentType: "text/html", body: "<h1>" }, "ERR_KEY_BUSY", 4],
  [{ status: 502, contentType: "text/html", body: "<h1>" }, "ERR_KEY_BUSY", 4],
  [{ type: "NotFoundException" }, "ERR_KEY_UNKNOWN", 1],
  [{ type: "DisabledException" }, "ERR_KEY_DISABLED", 1],
  [{ type: "KMSInvalidStateException" }, "ERR_KEY_UNKNOWN", 1],
  [{ type: "AccessDeniedException" }, "ERR_KEY_DENIED", 1],
  [{ type: "UnrecognizedClientException" }, "ERR_KEY_DENIED", 1],
  [{ type: "InvalidSignatureException" }, "ERR_KEY_DENIED", 1],
  [{ type: "ExpiredTokenException" }, "ERR_KEY_DENIED", 1],
  [{ type: "LimitExceededException" }, "ERR_KEY_CUSTODY", 1],
  [{ type: "InvalidKeyUsageException" }, "ERR_KEY_CUSTODY", 1],
  [{ type: "UnsupportedOperationException" }, "ERR_KEY_CUSTODY", 1],
  [{ type: "AlreadyExistsException" }, "ERR_KEY_CUSTODY", 1],
  [{ type: "ValidationException" }, "ERR_KEY_CUSTODY", 1],
  [{ type: "SomethingNew", status: 418 }, "ERR_KEY_CUSTODY", 1],
  [{ type: "__proto__" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, contentType: "text/html", body: "<h1>" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 301, contentType: "text/html", body: "" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 403, contentType: "text/html", body: "" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: "" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: "{" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: "null" }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: "[".repeat(200_000) }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: '{"a":'.repeat(40_000) }, "ERR_KEY_CUSTODY", 1],
  [{ status: 200, body: "x".repeat(256 * 1024 + 1) }, "ERR_KEY_CUSTODY", 1],
];

describeKms("AWS KMS: failures", () => {
  for (const [fault, code, tries] of MAPPED)
    it(`${JSON.stringify(fault).slice(0, 70)} is ${code} after ${tries}`, async () => {
      await using server = await KmsServer.start();
      await using custodian = await openTestCustodian(server);
      const key = await custodian.generate("ES256");
      server.fault = failing("Sign", fault);
      assert.equal(await codeOfSign(key), code);
      assert.equal(server.count("Sign"), tries);
      // And it is over when KMS is well again.
      server.fault = () => undefined;
      assert.equal(await codeOfSign(key), "signed");
    });

  it("an answer that fits to the byte is read", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("ES256");
    server.fault = failing("Sign", sized(256 * 1024));
    assert.equal(await codeOfSign(key), "signed");
    server.fault = failing("Sign", sized(256 * 1024 + 1));
    assert.equal(await codeOfSign(key), "ERR_KEY_CUSTODY");
  });

  it("says when to come back, and shows a bounded part of what KMS said", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    for (const type of ["ThrottlingException", "KMSInternalException", "AccessDeniedException"]) {
      const message = `\u001b[31m${"long ".repeat(1000)}`;
      server.fault = failing("ListAliases", { type, message });
      const error: unknown = await custodian.list().catch((reason: unknown) => reason);
      assert.ok(error instanceof KeyError);
      const isBackPressure = type !== "AccessDeniedException";
      assert.equal(error.retryAfterSeconds, isBackPressure ? 1 : undefined);
      assert.equal(isCustodyAway(error), isBackPressure);
      assert.ok(error.cause instanceof Error);
      assert.equal(error.cause.name, type);
      assert.match(error.cause.message, /^\?\[31mlong [ -~]{1,300}$/);
    }
  });

  it("property: whatever is answered, to whatever was asked, costs a coded error", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("ES256");
    const uses = {
      CreateKey: async () => custodian.generate("ES256"),
      CreateAlias: async () => custodian.generate("ES256"),
      GetPublicKey: async () => custodian.open(key.id),
      DescribeKey: async () => custodian.open(key.id),
      ListResourceTags: async () => custodian.open(key.id),
      ListAliases: async () => custodian.list(),
      ScheduleKeyDeletion: async () => custodian.destroy(key.id),
      Sign: async () => key.sign(INPUT),
    } as const;
    const names = ["KeyMetadata", "KeyId", "Arn", "Tags", "Aliases", "Signature", "PublicKey"];
    const answers = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .dictionary(fc.constantFrom(...names), fc.jsonValue())
        .map((value) => JSON.stringify(value)),
    );
    const operations = fc.constantFrom(...Object.keys(uses));
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(operations, answers, fc.constantFrom(200, 400, 500), async (...asked) => {
        const [operation, body, status] = asked;
        server.fault = failing(operation, { status, body });
        const use = Object.entries(uses).find(([name]) => name === operation)?.[1];
        try {
          const value: unknown = await use?.();
          assert.equal(status, 200);
          // An alias is made without anything in the answer, and a list may be empty.
          if (operation === "ListAliases") assert.deepEqual(value, []);
          else assert.equal(operation, "CreateAlias");
        } catch (error) {
          assert.ok(error instanceof KeyError, inspect(error));
          refused += 1;
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(refused > 100, String(refused));
  });
});
