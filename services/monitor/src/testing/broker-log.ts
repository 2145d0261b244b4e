import { generateKeyPairSync } from "node:crypto";
import { FakeLog } from "@redoubt/testkit";
import {
  createVerifierKey,
  ed25519Signer,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import type { MonitorWorld } from "./monitor-world.ts";

/** A broker's log at the ledger, and what says so in the registry. */
export interface BrokerLog {
  readonly log: FakeLog;
  readonly writer: VerifierKey;
  readonly say: () => void;
}

export function brokerLog({ deployment }: MonitorWorld): BrokerLog {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const origin = "example.test/broker";
  const name = `${origin}/writer`;
  const writer = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  const log = new FakeLog(origin, writer);
  log.writerSigner = ed25519Signer(name, privateKey);
  deployment.ledger.successors.push(log);
  const keys = { writer: encodeVerifierKey(writer), logKey: encodeVerifierKey(log.key) };
  const realms = ["consumer", "enterprise"];
  return {
    log,
    writer,
    say: () => deployment.say({ type: "broker", log: origin, ...keys, realms }),
  };
}
