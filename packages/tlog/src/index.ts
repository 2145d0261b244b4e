export { openCheckpoint, encodeCheckpoint, parseCheckpoint } from "./checkpoint.ts";
export type { Checkpoint, OpenedCheckpoint } from "./checkpoint.ts";
export { CompactRange, type TreeHead } from "./compact-range.ts";
export type { NodeVisitor } from "./compact-range.ts";
export { buildConsistencyProof, verifyConsistency } from "./consistency.ts";
export type { Consistency } from "./consistency.ts";
export {
  cosignCheckpoint,
  isDatedAhead,
  MAX_AHEAD_SECONDS,
  verifyCosignature,
} from "./cosignature.ts";
export type { Cosignature } from "./cosignature.ts";
export { encodeEntryBundle, MAX_ENTRY_BYTES, parseEntryBundle } from "./entry-bundle.ts";
export { TlogError } from "./errors.ts";
export type { TlogErrorCode, TlogErrorDetail } from "./errors.ts";
export { buildRoot } from "./hash-reader.ts";
export type { HashReader } from "./hash-reader.ts";
export {
  EMPTY_ROOT,
  HASH_BYTES,
  hashLeaf,
  hashNode,
  sha256,
  RFC6962_LEAF_PREFIX,
  RFC6962_NODE_PREFIX,
} from "./hash.ts";
export { buildInclusionProof, verifyInclusion, verifySubtreeInclusion } from "./inclusion.ts";
export type { Inclusion, SubtreeInclusion } from "./inclusion.ts";
export { ed25519Cosigner, ed25519Signer } from "./note-signer.ts";
export type { NoteSigner } from "./note-signer.ts";
export { addSignature, MAX_NOTE_BYTES, parseNote, signLine, signNote, verifyNote } from "./note.ts";
export type { UnverifiedNote, VerifiedNote } from "./note.ts";
export { ownBytes } from "./own-bytes.ts";
export { encodeProofFile, parseProofFile, verifyProofFile } from "./proof-file.ts";
export type { ProofFile, VerifiedProof } from "./proof-file.ts";
export { MAX_NOTE_SIGNATURES } from "./signature-line.ts";
export type { NoteSignature } from "./signature-line.ts";
export type { VerifiedSignature } from "./signature.ts";
export { MAX_PROOF_HASHES, verifySubtreeConsistency } from "./subtree-consistency.ts";
export type { SubtreeConsistency } from "./subtree-consistency.ts";
export { tileHashReader, tileRoot } from "./tile-hash-reader.ts";
export type { TileReader } from "./tile-hash-reader.ts";
export {
  entryBundlePath,
  MAX_TILE_GROWTH,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
  tilesToWrite,
} from "./tile.ts";
export type { Tile, TilePath } from "./tile.ts";
export { MAX_TREE_SIZE } from "./tree-size.ts";
export { createVerifierKey, encodeVerifierKey, parseVerifierKey, SIGNATURE_TYPE } from "./vkey.ts";
export type { SignatureType, VerifierKey } from "./vkey.ts";
export {
  encodeAddCheckpointRequest,
  encodeWitnessSize,
  parseAddCheckpointRequest,
  parseWitnessSignatures,
  parseWitnessSize,
  verifyGrowth,
  WITNESS_SIZE_MEDIA_TYPE,
} from "./witness.ts";
export type { AddCheckpointRequest, UnverifiedAddCheckpoint } from "./witness.ts";
export { cosignWitnessed, openWitnessed } from "./witnessed.ts";
export type { Witnessed, WitnessedQuestion } from "./witnessed.ts";
export { logId } from "./log-id.ts";
