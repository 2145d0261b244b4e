import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemberReader, ServiceError } from "@redoubt/base";
import { createKeyFile, registryEntry } from "@redoubt/keys";
import {
  CompactRange,
  createVerifierKey,
  ed25519Signer,
  encodeCheckpoint,
  encodeVerifierKey,
  hashLeaf,
  signNote,
  SIGNATURE_TYPE,
} from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import {
  createSocketPlace,
  serveSocket,
  socketPlace,
  type Answer,
  type Call,
  type Handler,
} from "@redoubt/wire";
import {
  CALLERS,
  CONSUMER_TENANT,
  issuerTemplate,
  REGISTRY_LOG,
  SERVICES,
  type Realm,
  type ServiceName,
} from "../layout.ts";
import { Operator } from "../operator.ts";
import { writeSettings, type Settings } from "../settings.ts";
import { testKey } from "./registry.ts";

interface Item {
  readonly statement: Buffer;
  readonly envelope: Buffer;
}

/** A data folder with an operator and a ledger on a real socket, which keeps the registry and lies on command. */
export class FakeSystem implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "app-"));
  readonly settings: Settings;
  readonly items: Item[] = [];
  /** Says where a statement went, in place of taking it. */
  append: ((item: Item) => number) | undefined;
  readonly #registryKey = testKey(REGISTRY_LOG);
  readonly #open: AsyncDisposable[] = [];

  constructor(port = 7400) {
    for (const name of ["up", ...SERVICES]) mkdirSync(join(this.root, name), { mode: 0o700 });
    for (const service of SERVICES)
      for (const caller of CALLERS[service])
        createSocketPlace(socketPlace(this.root, service, caller));
    const { publicKey } = createKeyFile(join(this.root, "up", "operator.key"), "Ed25519");
    const type = SIGNATURE_TYPE.ed25519;
    this.settings = {
      port,
      operator: encodeVerifierKey(createVerifierKey({ name: "operator", type, publicKey })),
      registryKey: this.#registryKey.text,
      witness: testKey("witness", SIGNATURE_TYPE.cosignature).text,
      ack: testKey("monitor/ack").text,
      rings: {
        consumer: testKey("ring/consumer").text,
        enterprise: testKey("ring/enterprise").text,
      },
    };
    writeSettings(this.root, this.settings);
  }

  /** With its ledger, an operator, and both realms in the registry. */
  static async start(): Promise<{ system: FakeSystem; operator: Operator }> {
    const system = new FakeSystem();
    await system.serve("ledger", "operator", (call) => system.#answer(call));
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
      issuer: issuerTemplate(realm, this.settings.port),
      ring: this.settings.rings[realm],
      tenantRule: realm === "consumer" ? { fixed: CONSUMER_TENANT } : { except: [CONSUMER_TENANT] },
    });
  }

  async serve(service: ServiceName, caller: string, handler: Handler): Promise<void> {
    const place = socketPlace(this.root, service, caller);
    const secret = createSocketPlace(place);
    const names = { caller, service, instance: "fake" };
    this.#open.push(
      await serveSocket({ path: place.path, secret, handler, log: ignore, ...names }),
    );
  }

  #answer({ op, head }: Call): Answer {
    if (op === "registry") return { head: this.#page(Number(head["from"])) };
    if (op !== "append") throw new ServiceError("ERR_REQUEST_OP", "Unknown operation");
    const item = readItem(head);
    const index = this.append?.(item) ?? this.items.push(item) - 1;
    return { head: { index, size: this.items.length, checkpoint: "x" } };
  }

  #page(from: number): object {
    const range = CompactRange.empty();
    const entries = this.items.map(({ statement, envelope }) => registryEntry(statement, envelope));
    for (const entry of entries) range.append(hashLeaf(entry));
    const size = entries.length;
    const signer = ed25519Signer(REGISTRY_LOG, this.#registryKey.privateKey);
    const body = encodeCheckpoint({ origin: REGISTRY_LOG, size, root: range.root() });
    const items = this.items.map(({ statement, envelope }, index) => ({
      entry: encodeBase64url(entries[index] ?? Buffer.alloc(0)),
      statement: encodeBase64url(statement),
      envelope: encodeBase64url(envelope),
    }));
    const checkpoint = size === 0 ? "" : signNote(body, [signer]);
    return { from, size, checkpoint, cosigned: "", items: items.slice(from) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true });
  }
}

function ignore(): void {
  // What the socket logs is not what these tests are about.
}

function readItem(head: JsonObject): Item {
  const reader = new MemberReader(head, "append");
  return {
    statement: decodeBase64url(reader.string("statement", 65_536)),
    envelope: decodeBase64url(reader.string("envelope", 2048)),
  };
}
