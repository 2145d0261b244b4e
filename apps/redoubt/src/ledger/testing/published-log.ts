import {
  addSignature,
  CompactRange,
  cosignCheckpoint,
  ed25519Cosigner,
  ed25519Signer,
  encodeCheckpoint,
  encodeEntryBundle,
  entryBundlePath,
  signNote,
  SIGNATURE_TYPE,
  TILE_WIDTH,
  tilePath,
  tilesToWrite,
} from "@redoubt/tlog";
import { testKey, type TestKey } from "../../testing/registry.ts";
import type { LogSource } from "../log-source.ts";

export const ORIGIN = "redoubt.local/issuance/enterprise-1/2026q4";

/** The files of a published log, in memory, where tests can spoil them. */
export class PublishedLog implements LogSource {
  readonly name = "memory";
  readonly files = new Map<string, Buffer>();
  readonly key: TestKey = testKey(ORIGIN);
  readonly writer: TestKey = testKey(`${ORIGIN}/writer`);
  readonly witness: TestKey = testKey("witness", SIGNATURE_TYPE.cosignature);
  readonly entries: readonly Buffer[];

  constructor(size: number, tag = 0x01) {
    this.entries = Array.from({ length: size }, (_, i) => {
      const entry = Buffer.alloc(65, i % 251);
      entry[0] = tag;
      entry.writeUInt32BE(i, 1);
      return entry;
    });
    this.publish(this.entries);
  }

  async read(path: string): Promise<Buffer | undefined> {
    return this.files.get(path);
  }

  /** Writes every file for these entries, which may be other ones than `entries`. */
  publish(entries: readonly Buffer[]): void {
    const nodes = new Map<string, Buffer>();
    const range = CompactRange.empty();
    range.appendEntries(entries, (level, index, hash) =>
      nodes.set(`${level}/${index}`, Buffer.from(hash)),
    );
    for (const { level, index, width } of tilesToWrite(0, entries.length)) {
      const hashes = Array.from(
        { length: width },
        (_, i) => nodes.get(`${level * 8}/${index * TILE_WIDTH + i}`) ?? Buffer.alloc(0),
      );
      this.files.set(tilePath(level, index, width), Buffer.concat(hashes));
      if (level === 0) {
        const bundle = entries.slice(index * TILE_WIDTH, index * TILE_WIDTH + width);
        this.files.set(entryBundlePath(index, width), encodeEntryBundle(bundle));
      }
    }
    this.sign({ size: entries.length, root: range.root() });
  }

  sign(
    tree: { readonly size: number; readonly root: Buffer },
    signers: readonly TestKey[] = [this.key, this.writer],
    origin = ORIGIN,
  ): void {
    const body = encodeCheckpoint({ origin, ...tree });
    const note = signNote(
      body,
      signers.map(({ vkey, privateKey }) => ed25519Signer(vkey.name, privateKey)),
    );
    this.files.set("checkpoint", Buffer.from(note));
  }

  cosign(timeSeconds: number): void {
    const note = this.files.get("checkpoint")?.toString("utf8") ?? "";
    const body = note.slice(0, note.indexOf("\n\n") + 1);
    const cosigner = ed25519Cosigner("witness", this.witness.privateKey);
    const line = cosignCheckpoint(body, timeSeconds, cosigner);
    this.files.set("checkpoint", Buffer.from(addSignature(note, line)));
  }
}
