import { hash, type KeyObject } from "node:crypto";
import { parsePolicy } from "@redoubt/evidence";
import { type Binding, bindingMessage, encodeLease, leaseEntry } from "@redoubt/lease";
import { encodeGrantBody, signEar } from "@redoubt/lease/attestation";
import { FakeLog } from "@redoubt/testkit";
import { ed25519Signer, encodeEntryBundle, encodeVerifierKey } from "@redoubt/tlog";
import { BodyCommitments, joinBlobs } from "@redoubt/wire";
import { type Deployment, identity, NOW } from "./deployment.ts";

const POLICY =
  '{"version":"1.1.0","anyOf":[{"authority":"urn:redoubt:evidence","allOf":[{"claim":"platform","equals":"soft"}]}]}';

interface GrantChange {
  readonly realm?: string;
  readonly kids?: readonly string[];
  readonly hardware?: boolean;
  readonly platform?: string;
  readonly evidence?: string;
}

/** A broker's log, with evidence that nobody appraised: as a broker that was taken over could write it, too. */
export class TestGrants {
  readonly log: FakeLog;
  readonly writerKey: string;
  readonly #writer: KeyObject;

  constructor(origin = "test.example/broker") {
    const { vkey, text, privateKey } = identity(`${origin}/writer`);
    this.log = new FakeLog(origin, vkey);
    this.log.writerSigner = ed25519Signer(vkey.name, privateKey);
    this.writerKey = text;
    this.#writer = privateKey;
  }

  /** Has the registry name this broker. */
  name(deployment: Deployment, realms: readonly string[] = ["consumer", "enterprise"]): void {
    const { origin: log, key } = this.log;
    const logKey = encodeVerifierKey(key);
    deployment.state({ type: "broker", log, writer: this.writerKey, logKey, realms });
  }

  /** @returns its place */
  grant({
    realm = "enterprise",
    kids = [],
    hardware = false,
    platform = "soft",
    evidence = "{}",
  }: GrantChange): number {
    const issued = NOW + this.log.size;
    const signer = `signer-${realm}`;
    const [holderKey, nonce] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const binding: Binding = { realm, signer, encryptionKey: Buffer.alloc(32, 3), holderKey, kids };
    const lease = encodeLease({
      v: 1,
      type: "lease",
      realm,
      signer,
      holderKey,
      platform,
      hardware,
      issued,
      expires: issued + 600,
      registry: { size: 1, root: Buffer.alloc(32, 4) },
      minVersion: 0,
      evidence: hash("sha256", evidence, "buffer"),
    });
    const policy = parsePolicy(POLICY, new Map());
    const subject = { issued, nonce, signer, claims: { platform }, policy };
    const writer = ed25519Signer(`${this.log.origin}/writer`, this.#writer);
    const body = encodeGrantBody({
      binding: bindingMessage.write(binding),
      ear: signEar({ ...subject, policyFile: Buffer.from(POLICY) }, writer),
      evidence,
      lease: lease.toString(),
      nonce,
      policy: POLICY,
      references: [],
    });
    const entries = [leaseEntry(lease, new BodyCommitments(body).of(0))];
    return this.log.append(entries, Buffer.concat([encodeEntryBundle(entries), joinBlobs([body])]));
  }
}
