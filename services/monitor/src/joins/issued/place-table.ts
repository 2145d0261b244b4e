import { randomBytes } from "node:crypto";
import { HASH_BYTES } from "@redoubt/tlog";
import type { Batch, Place } from "./batch.ts";

const HALVES = HASH_BYTES / 2;
/** Room for a run without growing: half a megabyte. */
const FIRST_BITS = 17;

/**
 * Finds the place of a digest. A map of strings would cost more than everything else that happens to a token here.
 * Open addressing; the digests themselves stay in their batches, and nothing is removed.
 */
export class PlaceTable {
  readonly #factors: Int32Array;
  readonly #batches: Batch[] = [];
  readonly #offsets: number[] = [];
  /** Number of the place + 1; 0 is free. */
  #slots = new Int32Array(2 ** FIRST_BITS);
  #shift = 32 - FIRST_BITS;

  constructor(random: (bytes: number) => Buffer = randomBytes) {
    const bytes = random(4 * HALVES);
    this.#factors = Int32Array.from({ length: HALVES }, (_, i) => bytes.readInt32LE(4 * i));
  }

  get size(): number {
    return this.#batches.length;
  }

  find(digests: Uint8Array, at = 0): Place | undefined {
    return this.#placeIn(this.#slotOf(digests, at));
  }

  /** Puts a digest of the batch there, in place of an equal one. */
  set(batch: Batch, offset: number): void {
    const slot = this.#slotOf(batch.digests, offset * HASH_BYTES);
    const number = this.#slots[slot] ?? 0;
    if (number === 0) return this.#put(slot, batch, offset);
    this.#batches[number - 1] = batch;
    this.#offsets[number - 1] = offset;
  }

  /** Puts it there, unless an equal one is there, which is returned. */
  offer(batch: Batch, offset: number): Place | undefined {
    const slot = this.#slotOf(batch.digests, offset * HASH_BYTES);
    const found = this.#placeIn(slot);
    if (!found) this.#put(slot, batch, offset);
    return found;
  }

  #put(slot: number, batch: Batch, offset: number): void {
    this.#offsets.push(offset);
    this.#slots[slot] = this.#batches.push(batch);
    if (2 * this.#batches.length > this.#slots.length) this.#grow();
  }

  #placeIn(slot: number): Place | undefined {
    const number = this.#slots[slot] ?? 0;
    if (number === 0) return undefined;
    const batch = this.#batches[number - 1];
    return batch && { batch, offset: this.#offsets[number - 1] ?? 0 };
  }

  /** Where an equal digest is, or where it would be. */
  #slotOf(digests: Uint8Array, at: number): number {
    const slots = this.#slots;
    let slot = this.#hash(digests, at);
    for (; slots[slot] !== 0; slot = (slot + 1) & (slots.length - 1)) {
      const number = (slots[slot] ?? 0) - 1;
      const other = this.#batches[number]?.digests;
      if (other && isEqual(digests, at, other, (this.#offsets[number] ?? 0) * HASH_BYTES)) break;
    }
    return slot;
  }

  /**
   * The sum of 16-bit halves, each with a secret factor, upper bits (multilinear hashing): a signer can log any bytes
   * as a digest, and must not be able to choose many that fall on one slot (P12).
   */
  #hash(digests: Uint8Array, at: number): number {
    const factors = this.#factors;
    let sum = 0;
    for (let i = 0; i < HALVES; i++) {
      const half = (digests[at + 2 * i] ?? 0) | ((digests[at + 2 * i + 1] ?? 0) << 8);
      sum = (sum + Math.imul(half, factors[i] ?? 0)) | 0;
    }
    return sum >>> this.#shift;
  }

  #grow(): void {
    this.#slots = new Int32Array(2 * this.#slots.length);
    this.#shift -= 1;
    for (let number = 0; number < this.#batches.length; number++) {
      const { digests } = this.#batches[number] ?? { digests: Buffer.alloc(0) };
      const at = (this.#offsets[number] ?? 0) * HASH_BYTES;
      let slot = this.#hash(digests, at);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1);
      this.#slots[slot] = number + 1;
    }
  }
}

function isEqual(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < HASH_BYTES; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
