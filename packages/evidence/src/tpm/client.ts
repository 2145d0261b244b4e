import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { MAX_HASH_BYTES, readSized } from "./algorithms.ts";
import { execute } from "./command.ts";
import {
  createObject,
  quoteWith,
  unsealObject,
  withKey,
  withObject,
  type LoadedKey,
  type TpmKey,
  type TpmObject,
} from "./key-commands.ts";
import type { Credential } from "./make-credential.ts";
import { sized } from "./marshal.ts";
import { readPcrs } from "./pcr-commands.ts";
import { checkedSelection, type PcrSelection } from "./pcr-selection.ts";
import { EK_POLICY_C_SHA384, endorsementPolicyDigest, policyPcrDigest } from "./policy.ts";
import { parsePublicArea } from "./public-area.ts";
import { parseQuote } from "./quote.ts";
import { policyEndorsement, policyOr, policyPcr, withPolicySession } from "./session-commands.ts";
import { parseSignature } from "./signature.ts";
import { STORAGE_P256, sealedTemplate } from "./templates.ts";
import type { Transport } from "./transport.ts";

/** What a TPM says about itself; `verifyQuote` takes it on the other side. */
export interface TpmQuote {
  readonly quote: Buffer;
  readonly signature: Buffer;
  readonly akPublicArea: Buffer;
  readonly pcrs: ReadonlyMap<number, Buffer>;
}

/** Something that was extended while it was read and quoted is read again, this often. */
const QUOTE_ATTEMPTS = 5;
/** MAX_SYM_DATA, TPM 2.0 Part 2, annex. */
const MAX_SEALED_BYTES = 128;

/** TPMT_PUBLIC of a key, attestation or endorsement. */
export function readTpmKey(transport: Transport, key: TpmKey): Promise<Buffer> {
  return withKey(transport, key, ({ publicArea }) => Promise.resolve(publicArea));
}

/**
 * Quotes PCRs and gives their values.
 *
 * @throws EvidenceError; `ERR_EVIDENCE_BINDING` if the PCRs change all the time
 */
export function quote(
  transport: Transport,
  ak: TpmKey,
  selection: PcrSelection,
  qualifyingData: Uint8Array,
): Promise<TpmQuote> {
  return withKey(transport, ak, async (loaded) => {
    for (let attempt = 0; attempt < QUOTE_ATTEMPTS; attempt += 1) {
      // One after the other: the next attempt is made only if PCRs were extended between reading and quoting (IMA).
      const pcrs = await readPcrs(transport, selection);
      const signed = await quoteWith(transport, loaded, selection, qualifyingData);
      if (isOver(signed, pcrs)) return { ...signed, akPublicArea: loaded.publicArea, pcrs };
    }
    throw new EvidenceError("ERR_EVIDENCE_BINDING", "PCRs change while they are quoted", {
      part: "pcrs",
      found: QUOTE_ATTEMPTS,
    });
  });
}

function isOver(
  signed: { quote: Uint8Array; signature: Uint8Array },
  pcrs: ReadonlyMap<number, Buffer>,
): boolean {
  const { hash } = parseSignature(signed.signature);
  const digest = createHash(hash)
    .update(Buffer.concat([...pcrs.values()]))
    .digest();
  return parseQuote(signed.quote).pcrDigest.equals(digest);
}

/**
 * Seals up to 128 bytes to PCRs: only this TPM gives them out, and only while the PCRs have these values.
 *
 * @param values that the PCRs will have; without them, those that they have now
 */
export async function seal(
  transport: Transport,
  secret: Uint8Array,
  selection: PcrSelection,
  values?: ReadonlyMap<number, Uint8Array>,
): Promise<TpmObject> {
  if (secret.length === 0 || secret.length > MAX_SEALED_BYTES)
    throw new RangeError(`Secret to seal: expected 1 to ${MAX_SEALED_BYTES} bytes`);
  const { bank, indices } = checkedSelection(selection);
  const known = values ?? (await readPcrs(transport, selection));
  const ordered = indices.map((index) => {
    const value = known.get(index);
    if (value === undefined) throw new RangeError(`PCR ${index} to seal to has no value`);
    return value;
  });
  const policy = policyPcrDigest("sha256", { bank, indices }, ordered);
  return withKey(transport, STORAGE_P256, (parent) =>
    createObject(transport, parent, sealedTemplate(policy), secret),
  );
}

/** @throws EvidenceError `ERR_TPM_RESPONSE` with TPM_RC_POLICY_FAIL when the PCRs have other values */
export function unseal(
  transport: Transport,
  sealed: TpmObject,
  selection: PcrSelection,
): Promise<Buffer> {
  return withKey(transport, STORAGE_P256, (parent) =>
    withObject(transport, parent, sealed, (object) =>
      withPolicySession(transport, "policy", "sha256", async (session) => {
        await policyPcr(transport, session, selection);
        return unsealObject(transport, object, session);
      }),
    ),
  );
}

/**
 * Opens what `makeCredential` made for this TPM's endorsement key and this attestation key.
 *
 * @throws EvidenceError `ERR_TPM_RESPONSE` when it was made for others
 */
export function activateCredential(
  transport: Transport,
  keys: { readonly ek: TpmKey; readonly ak: TpmKey },
  credential: Credential,
): Promise<Buffer> {
  return withKey(transport, keys.ek, (ek) =>
    withKey(transport, keys.ak, (ak) => activate(transport, ek, ak, credential)),
  );
}

function activate(
  transport: Transport,
  ek: LoadedKey,
  ak: LoadedKey,
  { credentialBlob, encryptedSecret }: Credential,
): Promise<Buffer> {
  const { nameAlgorithm: hash, authPolicy } = parsePublicArea(ek.publicArea);
  return withPolicySession(transport, "policy", hash, async (session) => {
    const endorsement = endorsementPolicyDigest(hash);
    await policyEndorsement(transport, session);
    // The policy of the low range is this step alone; that of the high range has a second branch.
    if (!authPolicy.equals(endorsement))
      await policyOr(transport, session, [endorsement, EK_POLICY_C_SHA384]);
    const { parameters } = await execute(transport, "ActivateCredential", {
      handles: [ak.handle, ek.handle],
      authorizations: ["empty password", session],
      parameters: Buffer.concat([sized(credentialBlob), sized(encryptedSecret)]),
    });
    return readSized(parameters, MAX_HASH_BYTES, "ActivateCredential.certInfo");
  });
}
