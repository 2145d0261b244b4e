import { encodeGrant } from "@redoubt/lease";
import {
  type Attestation,
  encodeAttestation,
  openAttestation,
  parseGrantBody,
} from "@redoubt/lease/attestation";
import {
  ask,
  askForBytes,
  BodyCommitments,
  LEDGER,
  type LogSource,
  splitBlobs,
} from "@redoubt/wire";
import { hardwareOf, type ShownGrant } from "./attestations.ts";

export interface ReadGrant {
  readonly shown: ShownGrant;
  readonly named: Pick<Attestation, "lease" | "binding">;
}

/**
 * Makes the attestation of one entry of a broker's log. It is opened here as everybody opens it who has it: what nobody
 * could verify is not shown (THREAT-06). The proof is in the tree that ended with the entry, so the bytes are always the
 * same.
 *
 * @throws ServiceError `ERR_ATTESTATION_*`, `ERR_LEASE_*`; WireError; as `ask`
 */
export async function readGrant(source: LogSource, index: number): Promise<ReadGrant> {
  const { client, origin: log } = source;
  const batch = await askForBytes(client, LEDGER.batch, { log, index });
  const bodies = splitBlobs(batch.attachment.subarray(batch.answer.entriesBytes), 1);
  const [bytes = Buffer.alloc(0)] = bodies;
  const body = parseGrantBody(bytes);
  const place = { log, index, size: index + 1 };
  const { proof, checkpoint } = await ask(client, LEDGER.prove, place);
  const commitment = new BodyCommitments(bytes).of(0);
  const grant = encodeGrant(Buffer.from(body.lease), commitment, { index, proof, checkpoint });
  const document = encodeAttestation(grant, body);
  const { lease, binding } = openAttestation(document, source);
  const shown = { document: document.toString(), hardware: hardwareOf(lease), log, index };
  return { shown: { ...shown, issued: lease.issued }, named: { lease, binding } };
}
