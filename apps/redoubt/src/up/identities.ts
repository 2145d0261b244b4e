import { join } from "node:path";
import { createKeyFile } from "@redoubt/custody";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import { initialise as initialiseMonitor } from "@redoubt/monitor/initialise";
import { initialise as initialiseSigner } from "@redoubt/signer/initialise";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { issuanceLog, REALMS, REGISTRY_LOG, type Realm } from "../layout.ts";
import type { RealmKeys } from "../realms.ts";

/** The public halves that the processes of one machine must know of one another before they start. */
export interface Identities {
  readonly operator: string;
  readonly registryKey: string;
  readonly witness: string;
  readonly ack: string;
  readonly realms: Readonly<Record<Realm, RealmKeys>>;
}

/** Makes every identity key in its owner's folder. Token keys are not among them: signers make those. */
export async function makeIdentities(folder: string, now: Date): Promise<Identities> {
  const operator = createKeyFile(join(folder, "up", "operator.key"), "Ed25519");
  const monitor = await initialiseMonitor(join(folder, "monitor"));
  const { logs } = await initialiseLedger(join(folder, "ledger"), {
    logs: [REGISTRY_LOG, ...REALMS.map((realm) => issuanceLog(realm, now))],
  });
  const logKeys = new Map(logs.map(({ log, vkey }) => [log, vkey]));
  const realmKeys = (realm: Realm) => {
    const log = issuanceLog(realm, now);
    const signer = initialiseSigner(join(folder, `signer-${realm}`), { realm, origin: log });
    return { ...signer, log, logKey: keyOf(logKeys, log) };
  };
  return {
    operator: encodeVerifierKey({
      name: "operator",
      type: SIGNATURE_TYPE.ed25519,
      publicKey: operator.publicKey,
    }),
    registryKey: keyOf(logKeys, REGISTRY_LOG),
    witness: monitor.witness,
    ack: monitor.ack,
    realms: { consumer: realmKeys("consumer"), enterprise: realmKeys("enterprise") },
  };
}

function keyOf(keys: ReadonlyMap<string, string>, log: string): string {
  const key = keys.get(log);
  if (key === undefined) throw new RangeError(`Ledger made no key for ${log}`);
  return key;
}
