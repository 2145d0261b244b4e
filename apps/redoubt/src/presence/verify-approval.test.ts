import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { makeStatement, personHash, sealEnvelope, type Enrolment } from "@redoubt/presence";
import { SoftAuthenticator } from "@redoubt/testkit";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseEnrolments } from "./enrolments.ts";
import { showApproval, verifyApproval, type VerifyApprovalOptions } from "./verify-approval.ts";

const NOW = 1_764_000_000;
const RP_ID = "example.org";
const ORIGIN = "https://approve.example.org";

const service = generateKeyPairSync("ed25519");
const vkeyOf = (publicKey: typeof service.publicKey, name = "operator") =>
  encodeVerifierKey(createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey }));
const SERVICE = vkeyOf(service.publicKey);

const key = new SoftAuthenticator({ rpId: RP_ID });
const ENROLMENT: Enrolment = {
  realm: "enterprise",
  person: personHash("anna"),
  credential: key.credentialId,
  publicKey: encodeBase64url(key.publicKey),
  class: "device-bound",
  rpId: RP_ID,
  from: NOW - 100,
};

const statement = makeStatement(
  {
    realm: "enterprise",
    action: "administrator.change",
    subject: { person: "p-7", change: "grant" },
    issuedAt: NOW,
    expiresAt: NOW + 300,
    rpId: RP_ID,
    origin: ORIGIN,
  },
  Buffer.alloc(16, 7),
);

function envelope(origin: string): Buffer {
  const asked = { challenge: encodeBase64url(statement.challenge) };
  const { id, response } = key.authenticate(asked, { origin });
  const assertion = {
    credentialId: id,
    clientDataJSON: Buffer.from(response.clientDataJSON, "base64url"),
    authenticatorData: Buffer.from(response.authenticatorData, "base64url"),
    signature: Buffer.from(response.signature, "base64url"),
  };
  const acting = { keyId: "operator", privateKey: service.privateKey };
  return sealEnvelope({ statement, assertions: [assertion], at: NOW + 20, service: acting });
}

/** A folder with an envelope and a stranger's file of enrolments. */
class Desk implements Disposable {
  readonly typedIn: string = mkdtempSync(join(tmpdir(), "approval-"));
  readonly said: { json?: unknown; text?: string } = {};
  readonly notices: string[] = [];

  constructor(enrolments: readonly object[] = [ENROLMENT], bytes: Buffer = envelope(ORIGIN)) {
    writeFileSync(join(this.typedIn, "approval.json"), bytes);
    writeFileSync(join(this.typedIn, "e.json"), JSON.stringify({ v: 1, enrolments }));
  }

  get context() {
    const { said, notices } = this;
    return {
      folder: join(this.typedIn, "none"),
      typedIn: this.typedIn,
      json: true,
      terminal: {
        result: (result: object) => void Object.assign(said, result),
        line: () => undefined,
        notice: (line: string) => void notices.push(line),
      },
      questions: { input: new PassThrough(), output: new PassThrough() },
    };
  }

  verify(change: Partial<VerifyApprovalOptions> = {}): Promise<number> {
    return verifyApproval(this.context, "approval.json", {
      service: [SERVICE],
      enrolments: "e.json",
      rpId: RP_ID,
      origin: [ORIGIN],
      ...change,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.typedIn, { recursive: true });
  }
}

function codeOf({ said }: Desk): unknown {
  const { json } = said;
  return typeof json === "object" && json !== null && "code" in json ? json.code : undefined;
}

test("P8: a stranger verifies an approval from files, and asks nobody", async () => {
  using desk = new Desk();
  assert.equal(await desk.verify(), 0);
  assert.match(desk.said.text ?? "", /^approved: by one person, at 2025-11-24T/);
  for (const line of statement.text) assert.ok(desk.said.text?.includes(line), line);
  assert.match(desk.said.text ?? "", new RegExp(personHash("anna")));
});

test("THREAT-20: each single change is refused, with its code", async () => {
  for (const [change, code] of [
    [{ origin: ["https://login.example.org"] }, "ERR_PRESENCE_ACTION"],
    [{ rpId: "example.com" }, "ERR_PRESENCE_ACTION"],
    [{ service: [vkeyOf(generateKeyPairSync("ed25519").publicKey)] }, "ERR_PRESENCE_SIGNATURE"],
    [{ service: [vkeyOf(service.publicKey, "other")] }, "ERR_PRESENCE_SIGNATURE"],
  ] as const) {
    using desk = new Desk();
    // oxlint-disable-next-line no-await-in-loop -- each with files of its own
    assert.equal(await desk.verify(change), 3);
    assert.equal(codeOf(desk), code);
  }
  for (const [enrolments, bytes, code] of [
    [[], undefined, "ERR_PRESENCE_ENROLMENT"],
    [[{ ...ENROLMENT, realm: "consumer" }], undefined, "ERR_PRESENCE_ENROLMENT"],
    [[{ ...ENROLMENT, removedAt: NOW + 20 }], undefined, "ERR_PRESENCE_ENROLMENT"],
    [[ENROLMENT], envelope("https://login.example.org"), "ERR_PRESENCE_ASSERTION"],
    [[ENROLMENT], Buffer.from("{}"), "ERR_PRESENCE_ENVELOPE"],
  ] as const) {
    using desk = new Desk(enrolments, bytes);
    // oxlint-disable-next-line no-await-in-loop -- each with files of its own
    assert.equal(await desk.verify(), 3);
    assert.equal(codeOf(desk), code);
  }
});

test("whose passkeys counted and where is all said, or nothing of it", async () => {
  using desk = new Desk();
  for (const change of [
    { enrolments: undefined },
    { rpId: undefined },
    { origin: undefined },
    { service: ["operator"] },
    { enrolments: "none.json" },
  ])
    // oxlint-disable-next-line no-await-in-loop -- one question after the other
    await assert.rejects(async () => desk.verify(change), { code: "ERR_OPTION" });
});

test("a file of enrolments is taken as a whole, or not at all", () => {
  const read = (change: object) =>
    parseEnrolments(
      Buffer.from(JSON.stringify({ v: 1, enrolments: [{ ...ENROLMENT, ...change }] })),
    );
  assert.deepEqual([...read({ removedAt: NOW }).values()], [{ ...ENROLMENT, removedAt: NOW }]);
  for (const change of [
    { realm: "" },
    { person: "anna" },
    { credential: "a/b" },
    { publicKey: "=" },
    { class: "any" },
    { rpId: "" },
    { from: -1 },
    { removedAt: "x" },
    { aaguid: "x" },
    { more: 1 },
  ])
    assert.throws(() => read(change), { code: "ERR_REQUEST_MEMBER" });
});

test("what an envelope says is shown as unverified", async () => {
  using desk = new Desk([]);
  assert.equal(await showApproval(desk.context, "approval.json"), 0);
  assert.match(desk.notices.join(""), /Nothing of this is verified/);
  assert.match(desk.said.text ?? "", new RegExp(statement.code));
});
