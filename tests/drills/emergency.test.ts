import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { issuerTemplate, type DemoClient, type Realm } from "@redoubt/cli";
import { activeKid, waitForAlarm } from "@redoubt/cli/drill";
import { createVerifier, fromDiscovery, TokenError, type Verifier } from "@redoubt/verify";
import { ask, SIGNER } from "@redoubt/wire";
import { SETTLE_MS, until } from "../e2e/until.ts";
import { LEAD_SECONDS } from "./aged-folder.ts";
import { compose, MovableClock, type Composed } from "./compose.ts";
import {
  askToken,
  HeldLog,
  longestGapMs,
  readJwks,
  TokenFlow,
  unverifiedKidOf,
} from "./token-flow.ts";

/** Far below the lead of a standby, and above what a loaded machine takes; `tests/soak` measures the gap. */
const MAX_GAP_MS = 15_000;

describe("an emergency: a realm's key must go now", () => {
  const held = new HeldLog();
  const clock = new MovableClock();
  let system: Composed;
  before(async () => {
    system = await compose({ clock, signer: { tokenLog: held.tokenLog } });
    await letStandbysAge(system, clock);
  });
  after(() => system[Symbol.asyncDispose]());

  it("THREAT-12: the standby signs at once, and no verifier takes the old key after its next load", async () => {
    const client = clientOf(system, "enterprise");
    const old = await activeKid(system.operator, "enterprise");
    await using verifier = await openVerifier(system, client, clock);
    const flow = new TokenFlow(() => askToken(system.settings.port, client));
    await flow.more(20);

    const { state, active } = await taint(system, "enterprise", old);
    const taintedAt = performance.now();
    assert.equal(state, "revoked");
    const next = await askToken(system.settings.port, client);
    assert.equal(next.status, 200);
    await flow.more(20);
    const answers = [...(await flow.stop()), next];

    // P6: nobody was refused for good.
    for (const { status } of answers) assert.ok(status === 200 || status === 503, String(status));
    const gap = longestGapMs(answers);
    assert.ok(gap < MAX_GAP_MS, `no token for ${gap} ms`);
    const tokens = answers.filter(({ token }) => token !== "");
    const kids = (isAfter: boolean) =>
      new Set(
        tokens
          .filter(({ startedAt, endedAt }) =>
            isAfter ? startedAt > taintedAt : endedAt < taintedAt,
          )
          .map(({ token }) => unverifiedKidOf(token)),
      );
    assert.ok(kids(false).has(old));
    assert.deepEqual([...kids(true)], [active]);
    assert.notEqual(active, old);

    const [oldToken = ""] = tokens.map(({ token }) => token);
    assert.equal(unverifiedKidOf(oldToken), old);
    // Until its next load: the standby is known already, and the old key is not forgotten yet.
    assert.equal(verifier.verify(next.token).key.kid, active);
    assert.equal(verifier.verify(oldToken).key.kid, old);
    await untilUnlisted(issuerOf(system, client), old);
    await verifier.reload();
    assert.throws(() => verifier.verify(oldToken), isUnknownKey);
    assert.equal(verifier.verify(next.token).key.kid, active);
  });

  it("THREAT-12: what was committed for a tainted key and not signed yet is never signed", async () => {
    const { tenant, client, audience } = clientOf(system, "consumer");
    const old = await activeKid(system.operator, "consumer");
    const handle = { realm: "consumer", tenant, class: "at" };
    const intent = { op: "issue", handle, client, sub: client, audience };
    const issuer = system.operator.client("signer-consumer", "issuer");
    const control = await issuer.request(intent);
    assert.equal(control.head["kid"], old);

    const batch = held.holdNext();
    const underWay = issuer.request(intent);
    const refused = assert.rejects(underWay, { code: "ERR_SIGNER_NO_KEY" });
    // In the log: nothing but the registry's word stands between it and a signature.
    assert.equal(await batch.committed, Number(control.head["index"]) + 1);
    const { active } = await taint(system, "consumer", old);
    batch.release();
    await refused;
    const { head } = await issuer.request(intent);
    assert.equal(head["kid"], active);
  });

  it("P6: a second emergency before the new standby is known stops issuance, and says until when", async () => {
    const client = clientOf(system, "consumer");
    const old = await activeKid(system.operator, "consumer");
    const { active } = await taint(system, "consumer", old);
    assert.equal(active, null);
    assert.equal((await askToken(system.settings.port, client)).status, 503);
    await assert.rejects(
      ask(system.operator.client("signer-consumer"), SIGNER.rotate, {
        class: "at",
        reason: "second",
      }),
      { code: "ERR_SIGNER_NO_STANDBY" },
    );
  });

  it("P8: each taint is at the monitor, where nobody here can take it back", async () => {
    for (const realm of ["consumer", "enterprise"]) {
      const alarm = await waitForAlarm(
        system.operator,
        {},
        ({ detail }) =>
          JSON.stringify(detail).includes("found in a dump") &&
          JSON.stringify(detail).includes(`signer-${realm}`),
        SETTLE_MS,
      );
      assert.equal(alarm?.["kind"], "event", realm);
    }
  });
});

/** Puts every clock forward until the standbys are known everywhere, before the first token. */
async function letStandbysAge(system: Composed, clock: MovableClock): Promise<void> {
  await until(
    "each ring of both realms has published a standby",
    async () => [...(await system.operator.readRegistry()).keys.values()].map(({ state }) => state),
    (states) => states.filter((state) => state === "prepublished").length === 4,
  );
  clock.forward(1000 * LEAD_SECONDS);
  // A new entry brings a new cosignature: without one of this time, the signers do not sign.
  const client = clientOf(system, "enterprise");
  const { realm, tenant, audience } = client;
  const status = "active";
  await system.operator.state({ type: "tenant", realm, tenant, status, audiences: [audience] });
  for (const name of ["enterprise", "consumer"] as const)
    await until(
      `realm ${name} issues after its clock moved`,
      async () => (await askToken(system.settings.port, clientOf(system, name))).status,
      (code) => code === 200,
    );
}

function taint({ operator }: Composed, realm: Realm, kid: string) {
  const signer = operator.client(`signer-${realm}`);
  return ask(signer, SIGNER.taint, { kid, reason: "found in a dump" });
}

function clientOf({ demo }: Composed, realm: Realm): DemoClient {
  const client = demo.clients.find((one) => one.realm === realm);
  assert.ok(client);
  return client;
}

function issuerOf({ settings }: Composed, { realm, tenant }: DemoClient): string {
  return issuerTemplate(realm, settings.port).replace("{tenantid}", tenant);
}

/** As a resource server has it: keys from the issuer's discovery, each with the ring's signature. */
function openVerifier(
  system: Composed,
  client: DemoClient,
  clock: MovableClock,
): Promise<Verifier> {
  const { settings } = system;
  const { realm, audience } = client;
  return createVerifier({
    trust: fromDiscovery({
      issuers: [
        { issuer: issuerOf(system, client), realm, ring: settings.realms[client.realm].ring },
      ],
      allowLoopbackHttp: true,
    }),
    audience,
    accept: [{ issuer: issuerTemplate(client.realm, settings.port), realm, tenants: "any" }],
    issuance: "off",
    now: () => clock.now(),
  });
}

async function untilUnlisted(issuer: string, kid: string): Promise<void> {
  await until(
    `the JWKS no longer lists ${kid}`,
    async () => (await readJwks(issuer)).map((key) => key["kid"]),
    (kids) => !kids.includes(kid),
  );
}

function isUnknownKey(error: unknown): boolean {
  return error instanceof TokenError && error.code === "ERR_JWKS_NO_MATCHING_KEY";
}
