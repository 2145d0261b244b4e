import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readToken, text } from "@redoubt/signer/testing/answers";
import { ISSUER, segment } from "@redoubt/signer/testing/cluster";
import { until } from "@redoubt/testkit";
import type { JsonObject } from "@redoubt/verify/json";
import { ClusterProcesses } from "./cluster-processes.ts";
import { buildKubeClient, KubeApiServer } from "./kube-apiserver.ts";

const built = await buildKubeClient();
const program = "program" in built ? built.program : "";
const ACCOUNT = "system:serviceaccount:payments:ledger";
/** WarnOnlyBoundTokenExpirationSeconds: what kube-apiserver asks for where nobody says more. */
const SECONDS = 3607;

describe(
  "kube-apiserver's own client and authenticator",
  {
    skip: "why" in built ? built.why : false,
  },
  () => {
    let cluster: ClusterProcesses;
    let apiserver: KubeApiServer;
    before(async () => {
      cluster = await ClusterProcesses.start();
      apiserver = new KubeApiServer(program, cluster.socket, ISSUER);
    });
    after(async () => {
      await apiserver[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
      rmSync(dirname(program), { recursive: true });
    });

    const ask = (seconds = SECONDS, audiences: readonly string[] = [ISSUER]): Promise<JsonObject> =>
      apiserver.ask({ do: "token", seconds, audiences: [...audiences] });
    const tokenOf = async (audiences?: readonly string[]): Promise<string> =>
      text(await ask(SECONDS, audiences), "token");
    const authenticate = (token: string): Promise<JsonObject> =>
      apiserver.ask({ do: "authenticate", token });

    it("a pod's token is signed, reported as delivered, and taken by the keys that it fetched", async () => {
      const token = await tokenOf();
      assert.equal(text(await authenticate(token), "user"), ACCOUNT);
      const digest = hash("sha256", readToken(token).signingInput, "base64url");
      await until(() => cluster.monitor.digests.includes(digest));
    });

    it("a token for others is not one for kube-apiserver", async () => {
      const token = await tokenOf(["vault"]);
      assert.match(text(await authenticate(token), "error"), /token audiences .* is invalid/);
    });

    it("asks for no longer lifetime than it is told of", async () => {
      const { seconds } = await apiserver.ask({ do: "metadata" });
      assert.equal(seconds, 3660);
      assert.match(text(await ask(3661), "error"), /PermissionDenied.*ERR_SIGNER_TTL/);
    });

    it("what nobody grants is refused with a status that says so", async () => {
      assert.match(
        text(await ask(600, ["api://x"]), "error"),
        /PermissionDenied.*ERR_SIGNER_AUDIENCE/,
      );
      for (const audiences of [["vault", "vault"], []])
        assert.match(text(await ask(600, audiences), "error"), /ERR_REQUEST_MEMBER/);
    });

    it("knows the standby before it signs", async () => {
      const { kids } = await apiserver.ask({ do: "keys" });
      assert.equal(Array.isArray(kids) && kids.length, 2);
    });

    it("requests that waited for a frozen signer are unavailable, and no alarm", async () => {
      cluster.freezeSigner();
      const waiting = ask();
      await sleep(7000);
      cluster.thawSigner();
      assert.match(text(await waiting, "error"), /Unavailable.*ERR_SIGNER_LATE/);
      assert.equal(text(await authenticate(await tokenOf()), "user"), ACCOUNT);
      const codes = cluster.deployment.monitor.told.all.map(({ code }) => code);
      assert.equal(codes.includes("ERR_SIGNER_LATE") || codes.includes("ERR_SIGNER_TIME"), false);
    });

    it("a signer that was away for long is found within a second, on the same connection", async () => {
      await cluster.killSigner();
      assert.match(text(await ask(), "error"), /Unavailable.*ERR_WIRE_CLOSED/);
      await sleep(5000);
      await cluster.startSigner();
      const answer = await ask();
      assert.equal(text(await authenticate(text(answer, "token")), "user"), ACCOUNT);
      assert.ok(Number(answer["tookMs"]) < 1000);
    });

    it("after a taint a token with an unknown kid makes it fetch, and the old tokens end", async () => {
      const old = await tokenOf();
      const kid = text(readToken(old).header, "kid");
      const operator = cluster.deployment.client("operator");
      await operator.request({ op: "taint", kid, reason: "test", early: true });
      // It knows the next key already, and so has no reason to ask.
      const next = await tokenOf();
      assert.notEqual(text(readToken(next).header, "kid"), kid);
      assert.equal(text(await authenticate(old), "user"), ACCOUNT);
      const header = segment({ alg: "ES256", kid: "none" });
      const unknown = `${header}.${segment({ iss: ISSUER })}.AAAA`;
      assert.match(text(await authenticate(unknown), "error"), /no keys found/);
      assert.match(text(await authenticate(old), "error"), /no keys found/);
      assert.equal(text(await authenticate(next), "user"), ACCOUNT);
    });
  },
);
