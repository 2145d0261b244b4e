import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import {
  ask,
  ISSUE_REFUSAL,
  readSocketSecret,
  RemoteError,
  SIGNER,
  SocketClient,
  socketPlace,
  type IssueRequest,
} from "@redoubt/wire";
import { FakeSigner } from "../../services/issuer/src/testing/fake-signer.ts";
import { digestOfUnsigned } from "../../services/issuer/src/unsigned-token.ts";
import {
  AUDIENCE,
  CLIENT,
  Deployment,
  OTHER_TENANT,
  TENANT,
} from "../../services/signer/src/testing/deployment.ts";

/** What an issuer asks for: the subject is the client. */
const GOOD: IssueRequest = {
  handle: {
    realm: "enterprise",
    tenant: TENANT,
    class: "at",
  },
  client: CLIENT,
  sub: CLIENT,
  audience: AUDIENCE,
  scope: "read",
  ttl: 600,
};
const ASKED = {
  tenant: TENANT,
  client: CLIENT,
  audience: AUDIENCE,
  scope: "read",
  ttlSeconds: 600,
};
const BURST = 64;

interface Refusal {
  readonly code: string;
  readonly retryAfterSeconds?: number;
  readonly committed?: true;
  /** What makes a real signer refuse: the request, or what happened before it. */
  readonly change?: JsonObject;
  readonly before?: (deployment: Deployment) => unknown;
}

/** What the issuer's tests let their signer refuse; last those after which a signer issues nothing. */
const REFUSALS: readonly Refusal[] = [
  { code: "ERR_SIGNER_HANDLE", change: { handle: { ...GOOD.handle, realm: "consumer" } } },
  { code: "ERR_SIGNER_CLIENT", change: { client: "another" } },
  { code: "ERR_SIGNER_AUDIENCE", change: { audience: "api://two" } },
  { code: "ERR_SIGNER_SCOPE", change: { scope: "admin" } },
  { code: "ERR_SIGNER_TTL", change: { ttl: 3601 } },
  { code: "ERR_SIGNER_RESERVED", change: { kid: "k" } },
  { code: "ERR_REQUEST_MEMBER", change: { ttl: 0 } },
  {
    code: "ERR_SIGNER_BUDGET",
    retryAfterSeconds: 1,
    change: { handle: { ...GOOD.handle, tenant: OTHER_TENANT } },
    before: (deployment) => {
      const item = { ...GOOD, handle: { ...GOOD.handle, tenant: OTHER_TENANT } };
      const items = Array.from({ length: BURST }, () => SIGNER.issue.request.write(item));
      return ask(deployment.client(), SIGNER.issueBatch, { items });
    },
  },
  {
    code: "ERR_KEY_BUSY",
    retryAfterSeconds: 7,
    committed: true,
    before: ({ custodian, clock }) => {
      clock.forward(30);
      custodian.before = () => {
        throw new KeyError("ERR_KEY_BUSY", "Busy", { retryAfterSeconds: 7 });
      };
    },
  },
];

interface Side extends AsyncDisposable {
  readonly client: SocketClient;
  /** What is asked so that it is refused. */
  refused(refusal: Refusal): Promise<JsonObject>;
}

async function openReal(): Promise<Side> {
  const deployment = await Deployment.start();
  await deployment.openReady({}, { budget: { perSecond: 1, burst: BURST } });
  return {
    client: deployment.client(),
    refused: async ({ change, before }) => {
      await before?.(deployment);
      return { ...SIGNER.issue.request.write(GOOD), ...change };
    },
    [Symbol.asyncDispose]: () => deployment[Symbol.asyncDispose](),
  };
}

async function openFake(): Promise<Side> {
  const root = mkdtempSync(join(tmpdir(), "contract-"));
  const signer = new FakeSigner({ root, service: "signer-enterprise", caller: "issuer" });
  await signer.start();
  const place = socketPlace(root, "signer-enterprise", "issuer");
  const client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  return {
    client,
    refused: async ({ code, retryAfterSeconds, committed }) => {
      signer.issue = (request) => {
        if (request.sub !== "refused") return signer.sign(request);
        const { token } = signer.sign({ ...request, sub: CLIENT });
        const unsigned = committed && token.slice(0, token.lastIndexOf("."));
        const fields = { retryAfterSeconds, committed, unsigned };
        throw new ServiceError(code, "Refused", { fields });
      };
      return SIGNER.issue.request.write({ ...GOOD, sub: "refused" });
    },
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await signer.stop();
      rmSync(root, { recursive: true });
    },
  };
}

function assertRefusal(given: JsonObject, refusal: Refusal): void {
  const { code, retryAfterSeconds, committed = false, unsigned } = ISSUE_REFUSAL.read(given);
  assert.deepEqual(
    [code, retryAfterSeconds, committed],
    [refusal.code, refusal.retryAfterSeconds, refusal.committed ?? false],
  );
  // What an issuer accounts for, and nothing where nothing is in the log.
  assert.equal(digestOfUnsigned(unsigned, ASKED) !== undefined, committed);
}

async function codeOf(asked: Promise<unknown>): Promise<unknown> {
  const error: unknown = await asked.catch((reason: unknown) => reason);
  return error instanceof RemoteError && error.code;
}

for (const [name, open] of [
  ["the issuer's stand-in for a signer", openFake],
  ["a signer", openReal],
] as const)
  describe(`what an issuer may rely on: ${name}`, () => {
    it("says what it is", async () => {
      await using side = await open();
      const metadata = await ask(side.client, SIGNER.metadata, {});
      const { realm, maxTtlSeconds, isolation, ready, problem } = metadata;
      assert.deepEqual(
        [realm, maxTtlSeconds, isolation, ready, problem],
        ["enterprise", 3600, "none", true, null],
      );
    });

    it("issues what was asked for, alone and with others, in their order", async () => {
      await using side = await open();
      const { ttl: _, ...timeless } = GOOD;
      const items = [GOOD, timeless].map((item) => SIGNER.issue.request.write(item));
      const { results } = await ask(side.client, SIGNER.issueBatch, { items });
      const batch = results.map((one) => SIGNER.issue.answer.read(isJsonObject(one) ? one : {}));
      const all = [await ask(side.client, SIGNER.issue, GOOD), ...batch];
      assert.deepEqual(
        all.map(({ expiresIn }) => expiresIn),
        [600, 600, 3600],
      );
      for (const { token, expiresIn } of all) {
        const unsigned = token.slice(0, token.lastIndexOf("."));
        assert.ok(digestOfUnsigned(unsigned, { ...ASKED, ttlSeconds: expiresIn }));
      }
      for (const member of ["token", "jti", "index"] as const)
        assert.equal(new Set(all.map((one) => one[member])).size, 3, member);
      assert.equal(new Set(all.map(({ kid, log }) => `${kid} ${log}`)).size, 1);
    });

    it("refuses what no issuer asks", async () => {
      await using side = await open();
      const wrong: readonly (readonly [JsonObject, string])[] = [
        [{ op: "sign" }, "ERR_SIGNER_OP"],
        [{ op: SIGNER.metadata.op, more: 1 }, "ERR_REQUEST_MEMBER"],
        [{ op: SIGNER.issueBatch.op, items: [] }, "ERR_REQUEST_MEMBER"],
        [{ op: SIGNER.issueBatch.op, items: Array(257).fill(0) }, "ERR_REQUEST_MEMBER"],
        [{ op: SIGNER.issue.op }, "ERR_REQUEST_MEMBER"],
      ];
      for (const [head, code] of wrong)
        assert.equal(await codeOf(side.client.request(head)), code, JSON.stringify(head));
      const { results } = await ask(side.client, SIGNER.issueBatch, { items: [0, {}] });
      for (const one of results)
        assertRefusal(isJsonObject(one) ? one : {}, { code: "ERR_REQUEST_MEMBER" });
    });

    for (const refusal of REFUSALS)
      it(`${refusal.code}: the same from a call and among the results of a batch`, async () => {
        await using side = await open();
        const head = await side.refused(refusal);
        const error: unknown = await side.client
          .request({ op: SIGNER.issue.op, ...head })
          .catch((reason: unknown) => reason);
        assert.ok(error instanceof RemoteError);
        const { code, details } = error;
        assertRefusal({ ...parseJsonObject(JSON.stringify(details)), code, message: "" }, refusal);
        const items = [await side.refused(refusal)];
        const { results } = await ask(side.client, SIGNER.issueBatch, { items });
        const [one] = results;
        assertRefusal(isJsonObject(one) ? one : {}, refusal);
      });
  });
