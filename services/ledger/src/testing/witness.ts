import { generateKeyPairSync } from "node:crypto";
import {
  cosignCheckpoint,
  createVerifierKey,
  ed25519Cosigner,
  EMPTY_ROOT,
  encodeWitnessSize,
  openCheckpoint,
  parseAddCheckpointRequest,
  SIGNATURE_TYPE,
  verifyGrowth,
  type Checkpoint,
  type VerifierKey,
} from "@redoubt/tlog";
import type { WitnessAnswer, WitnessTransport } from "../witness-client.ts";

/** A witness by C2SP tlog-witness, in memory: the state that an attacker of the ledger cannot reach. */
export class TestWitness implements WitnessTransport {
  readonly key: VerifierKey;
  readonly held = new Map<string, Pick<Checkpoint, "size" | "root">>();
  readonly answers: number[] = [];
  /** The requests, newest last. */
  readonly asked: string[] = [];
  isDown = false;
  readonly #signer: ReturnType<typeof ed25519Cosigner>;
  readonly #verifiers: (origin: string) => readonly VerifierKey[];
  readonly #nowSeconds: () => number;

  constructor(
    nowSeconds: () => number,
    verifiers: (origin: string) => readonly VerifierKey[],
    name = "witness.test/w1",
  ) {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.key = createVerifierKey({ name, type: SIGNATURE_TYPE.cosignature, publicKey });
    this.#signer = ed25519Cosigner(name, privateKey);
    this.#verifiers = verifiers;
    this.#nowSeconds = nowSeconds;
  }

  /** What it would show as the newest checkpoint that it cosigned. */
  readonly notes = new Map<string, string>();

  readonly newest = async (origin: string): Promise<WitnessAnswer> => {
    if (this.isDown) throw new Error("Witness is down");
    const note = this.notes.get(origin);
    return note === undefined ? { status: 404, body: "" } : { status: 200, body: note };
  };

  readonly send = async (body: string): Promise<WitnessAnswer> => {
    if (this.isDown) throw new Error("Witness is down");
    this.asked.push(body);
    const answer = this.#addCheckpoint(body);
    this.answers.push(answer.status);
    return answer;
  };

  #addCheckpoint(request: string): WitnessAnswer {
    const { oldSize, proof, checkpoint, unverified } = parseAddCheckpointRequest(request);
    const { origin } = unverified;
    const verifiers = this.#verifiers(origin);
    const opened = openCheckpoint(checkpoint, { origin, verifiers });
    if (opened.verified.length !== verifiers.length) return { status: 403, body: "" };
    const held = this.held.get(origin) ?? { size: 0, root: EMPTY_ROOT };
    const isSame = held.size === opened.size && held.root.equals(opened.root);
    if (held.size !== oldSize || (held.size === opened.size && !isSame))
      return { status: 409, body: encodeWitnessSize(held.size) };
    try {
      verifyGrowth(held, opened, proof);
    } catch {
      return { status: 422, body: "" };
    }
    this.held.set(origin, opened);
    this.notes.set(origin, checkpoint);
    return { status: 200, body: cosignCheckpoint(opened.body, this.#nowSeconds(), this.#signer) };
  }
}
