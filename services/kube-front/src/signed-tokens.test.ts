import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { RemoteError, WireError, type Requester } from "@redoubt/wire";
import { SignedTokens } from "./signed-tokens.ts";

type Head = Readonly<Record<string, string>>;

const KID = "k".repeat(43);
const CLAIMS = encode({ sub: "system:serviceaccount:payments:ledger" });
const HEADER = encode({ alg: "ES256", kid: KID, typ: "JWT" });
const UNSIGNED = `${HEADER}.${CLAIMS}`;
const DIGEST = hash("sha256", UNSIGNED, "base64url");

function encode(object: object): string {
  return Buffer.from(JSON.stringify(object)).toString("base64url");
}

/** What was reported after one call of a signer that answers so, and how the call ended. */
async function told(
  answer: () => Head,
): Promise<{ readonly code: string; readonly digests: readonly string[]; readonly lost: number }> {
  const digests: string[] = [];
  let lost = 0;
  const signer: Requester = {
    request: () =>
      Promise.resolve().then(() => ({ head: { ...answer() }, attachment: Buffer.alloc(0) })),
  };
  const tokens = new SignedTokens(signer, {
    add: (digest) => void digests.push(digest),
    lost: (count) => {
      lost += count;
    },
  });
  const code = await tokens.sign(CLAIMS).then(
    () => "answered",
    (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : ""),
  );
  // Nothing is under way any more.
  tokens.connectionEnded();
  return { code, digests, lost };
}

function refuses(error: Error): () => never {
  return () => {
    throw error;
  };
}

describe("THREAT-28: what a cluster's front tells the monitor", () => {
  it("the digest of the token that came, computed here", async () => {
    const answered = { header: HEADER, signature: "c2ln" };
    assert.deepEqual(await told(() => answered), {
      code: "answered",
      digests: [DIGEST],
      lost: 0,
    });
  });

  it("a signer cannot have another token explained by this request", async () => {
    const headers = [
      encode({ alg: "ES256", kid: KID, typ: "at+jwt" }),
      encode({ alg: "ES256", kid: KID }),
      encode({ alg: "ES256", kid: KID, typ: "JWT", x: 1 }),
      encode([]),
      "e30",
      "x",
    ];
    const refused = { code: "ERR_FRONT_ANSWER", digests: [], lost: 0 };
    for (const header of headers)
      assert.deepEqual(await told(() => ({ header, signature: "c2ln" })), refused, header);
    for (const unsigned of [
      `${HEADER}.${encode({ sub: "system:serviceaccount:kube-system:root" })}`,
      ...headers.map((header) => `${header}.${CLAIMS}`),
      `${UNSIGNED}.${CLAIMS}`,
      `.${CLAIMS}`,
      CLAIMS,
      "",
    ]) {
      const details = { committed: true, unsigned };
      const refusal = refuses(new RemoteError("ERR_KEY_BUSY", "busy", details));
      assert.deepEqual(await told(refusal), refused, unsigned);
    }
    const bare = refuses(new RemoteError("ERR_KEY_BUSY", "busy", { committed: true }));
    assert.deepEqual(await told(bare), refused);
  });

  it("logged and not signed counts by its digest, a refusal before that not at all", async () => {
    const details = { committed: true, unsigned: UNSIGNED };
    assert.deepEqual(await told(refuses(new RemoteError("ERR_KEY_BUSY", "busy", details))), {
      code: "ERR_KEY_BUSY",
      digests: [DIGEST],
      lost: 0,
    });
    for (const more of [{}, { unsigned: UNSIGNED }, { committed: false, unsigned: UNSIGNED }])
      assert.deepEqual(await told(refuses(new RemoteError("ERR_SIGNER_TTL", "long", more))), {
        code: "ERR_SIGNER_TTL",
        digests: [],
        lost: 0,
      });
  });

  it("an answer that is late or no answer is lost; a connection that broke is counted where it breaks", async () => {
    const late = refuses(new WireError("ERR_WIRE_TIMEOUT", "late"));
    assert.deepEqual(await told(late), { code: "ERR_WIRE_TIMEOUT", digests: [], lost: 1 });
    const odd: Head = { header: HEADER };
    assert.deepEqual(await told(() => odd), { code: "ERR_REQUEST_MEMBER", digests: [], lost: 1 });
    const closed = refuses(new WireError("ERR_WIRE_CLOSED", "gone"));
    assert.deepEqual(await told(closed), { code: "ERR_WIRE_CLOSED", digests: [], lost: 0 });
  });

  it("a connection that ends loses what was under way", async () => {
    let lost = 0;
    const signer: Requester = { request: () => new Promise(() => undefined) };
    const tokens = new SignedTokens(signer, {
      add: () => assert.fail("nothing came"),
      lost: (count) => {
        lost += count;
      },
    });
    void tokens.sign(CLAIMS);
    void tokens.sign(CLAIMS);
    tokens.connectionEnded();
    assert.equal(lost, 2);
  });
});
