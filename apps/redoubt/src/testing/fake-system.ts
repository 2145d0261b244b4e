import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKeyFile } from "@redoubt/custody";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { FakeLedger, FakeLog } from "@redoubt/testkit";
import { createSocketPlace, serveSocket, socketPlace, type Handler } from "@redoubt/wire";
import {
  CALLERS,
  CONSUMER_TENANT,
  REGISTRY_LOG,
  SERVICES,
  type Realm,
  type ServiceName,
} from "../layout.ts";
import { Operator } from "../operator.ts";
import { writeSettings, type Settings } from "../settings.ts";
import { testSettings } from "./settings.ts";

/** A data folder with an operator and a ledger on a real socket, which keeps the registry and lies on command. */
export class FakeSystem implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "app-"));
  readonly settings: Settings;
  readonly registry = new FakeLog(REGISTRY_LOG);
  readonly ledger = new FakeLedger({ registry: this.registry });
  readonly #open: AsyncDisposable[] = [];

  constructor(port = 7400) {
    for (const name of ["up", ...SERVICES]) mkdirSync(join(this.root, name), { mode: 0o700 });
    for (const service of SERVICES)
      for (const caller of CALLERS[service])
        createSocketPlace(socketPlace(this.root, service, caller));
    const { publicKey } = createKeyFile(join(this.root, "up", "operator.key"), "Ed25519");
    const type = SIGNATURE_TYPE.ed25519;
    this.settings = {
      ...testSettings(port),
      operator: encodeVerifierKey(createVerifierKey({ name: "operator", type, publicKey })),
      registryKey: encodeVerifierKey(this.registry.key),
    };
    writeSettings(this.root, this.settings);
  }

  /** With its ledger, an operator, and both realms in the registry. */
  static async start(): Promise<{ system: FakeSystem; operator: Operator }> {
    const system = new FakeSystem();
    await system.serve("ledger", "operator", system.ledger.handler);
    const operator = new Operator(system.root, system.settings);
    system.#open.push(operator);
    for (const realm of ["consumer", "enterprise"] as const)
      await system.#register(operator, realm);
    return { system, operator };
  }

  #register(operator: Operator, realm: Realm): Promise<number> {
    return operator.state({
      type: "realm",
      realm,
      issuer: this.settings.realms[realm].issuer,
      ring: this.settings.realms[realm].ring,
      tenantRule: realm === "consumer" ? { fixed: CONSUMER_TENANT } : { except: [CONSUMER_TENANT] },
    });
  }

  async serve(service: ServiceName, caller: string, handler: Handler): Promise<void> {
    const place = socketPlace(this.root, service, caller);
    const secret = createSocketPlace(place);
    const names = { caller, service, instance: "fake" };
    this.#open.push(
      await serveSocket({ path: place.path, secret, handler, sink: ignore, ...names }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true });
  }
}

function ignore(): void {
  // What the socket logs is not what these tests are about.
}
