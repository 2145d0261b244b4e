import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FRAME_KIND, SIGNER } from "@redoubt/wire";
import { list, readToken, text } from "../testing/answers.ts";
import {
  CLUSTER,
  KUBERNETES_CONFIG,
  podClaims,
  segment,
  startCluster,
} from "../testing/cluster.ts";
import { refusalOf, WANTED, type Deployment } from "../testing/deployment.ts";

const MAY_ASK: readonly string[] = ["signExact", "fetchKeys", "metadata"];

async function ready(): Promise<Deployment> {
  const deployment = await startCluster();
  await deployment.openReady({}, KUBERNETES_CONFIG);
  return deployment;
}

/** What a signer did for somebody: an answer may be lost, a signature or an entry stays. */
function done({ custodian, ledger }: Deployment): readonly unknown[] {
  return [custodian.signed, ledger.commits().length, ledger.registry.size];
}

describe("THREAT-04: a compromised kube-front on the raw socket", () => {
  const denied = Object.values(SIGNER)
    .map(({ op }) => op)
    .filter((op) => !MAY_ASK.includes(op));

  it("control: there is more that others may ask", () => {
    assert.deepEqual(
      denied.toSorted(),
      [
        "drillKey",
        "issue",
        "issueBatch",
        "openBody",
        "signExactFor",
        "rings",
        "retain",
        "rollback",
        "rotate",
        "taint",
      ].toSorted(),
    );
  });

  for (const op of [...denied, "sign", "signDigest", "hello", "__proto__", "toString"])
    it(`${op} is refused whatever is in it, nothing is done, and the monitor is told`, async () => {
      await using deployment = await ready();
      await using peer = await deployment.rawPeer("kube-front");
      const before = done(deployment);
      const handle = { ...WANTED.handle, realm: deployment.realm, tenant: CLUSTER };
      const item = { ...WANTED, handle };
      const heads = [
        { op },
        { ...item, op },
        { op, items: [item] },
        { op, class: "oidc", kid: "k".repeat(43), reason: "test", early: true, retain: true },
        { op, caller: "operator" },
      ];
      for (const [i, head] of heads.entries()) {
        peer.send(i + 1, JSON.stringify(head));
        // One after the other: which answer is to which is then plain.
        const frame = await peer.frame();
        assert.deepEqual([frame?.kind, frame?.id], [FRAME_KIND.error, i + 1]);
        assert.equal(frame?.head["code"], "ERR_SIGNER_OP");
      }
      assert.deepEqual(done(deployment), before);
      const told = await deployment.monitor.refusal("ERR_SIGNER_OP");
      assert.equal(told.caller, "kube-front");
    });

  it("signExact takes claims and nothing beside them: no key, algorithm, digest or header", async () => {
    await using deployment = await ready();
    const client = deployment.client("kube-front");
    const payload = segment(podClaims(deployment.clock.seconds));
    const before = done(deployment);
    for (const more of [
      { kid: "k".repeat(43) },
      { alg: "none" },
      { digest: "d".repeat(43) },
      { header: "eyJ9" },
      { caller: "operator" },
      { handle: WANTED.handle },
      { payload: [payload] },
      { payload: "" },
    ])
      assert.equal(
        await refusalOf(client.request({ op: "signExact", payload, ...more })),
        "ERR_REQUEST_MEMBER",
      );
    assert.deepEqual(done(deployment), before);
    const { head } = await client.request({ op: "signExact", payload });
    const { header } = readToken(`${text(head, "header")}.${payload}.${text(head, "signature")}`);
    assert.deepEqual([header["alg"], header["typ"]], ["ES256", "JWT"]);
    assert.deepEqual(Object.keys(head).toSorted(), ["header", "signature"]);
  });

  it("nobody else asks for signExact", async () => {
    await using deployment = await ready();
    const payload = segment(podClaims(deployment.clock.seconds));
    assert.equal(
      await refusalOf(deployment.client("operator").request({ op: "signExact", payload })),
      "ERR_SIGNER_OP",
    );
    assert.equal((await deployment.monitor.refusal("ERR_SIGNER_OP")).caller, "operator");
  });

  it("fetchKeys shows the cluster's published keys only, as of the witness's time", async () => {
    await using deployment = await startCluster();
    const signer = await deployment.openReady({}, KUBERNETES_CONFIG);
    const client = deployment.client("kube-front");
    const { head } = await client.request({ op: "fetchKeys" });
    const keys = list(head, "keys");
    assert.deepEqual(keys.map((key) => text(key, "state")).toSorted(), ["active", "prepublished"]);
    assert.equal(head["asOfSeconds"], deployment.clock.seconds);
    const active = keys.find(({ state }) => state === "active");
    const kid = text(active ?? {}, "kid");
    const { realm } = deployment;
    const tainted = { type: "key-state", realm, kid, state: "tainted" } as const;
    deployment.stateAsRing({ ...tainted, reason: "test" });
    await signer.tick();
    const after = await client.request({ op: "fetchKeys" });
    assert.equal(
      list(after.head, "keys").some((key) => key["kid"] === kid),
      false,
    );
    const { head: all } = await deployment.client("operator").request({ op: "fetchKeys" });
    assert.equal(
      list(all, "keys").some((key) => key["kid"] === kid),
      true,
    );
    const since = after.head["asOf"];
    const none = await client.request({ op: "fetchKeys", since });
    assert.deepEqual(none.head["keys"], []);
  });

  it("metadata is the same as for everybody", async () => {
    await using deployment = await ready();
    const ask = async (caller: "kube-front" | "operator") =>
      (await deployment.client(caller).request({ op: "metadata" })).head;
    assert.deepEqual(await ask("kube-front"), await ask("operator"));
  });
});
