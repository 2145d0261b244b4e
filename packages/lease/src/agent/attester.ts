import {
  activateCredential,
  AK_P256,
  type Credential,
  DEFAULT_PCRS,
  EK_P384,
  type PcrSelection,
  quote,
  type TpmPlatform,
  type TpmQuote,
  type Transport,
} from "@redoubt/evidence";
import { encodeBase64url } from "@redoubt/verify/base64url";

/** What can vouch for this machine. */
export interface Attester {
  /**
   * Evidence over 32 bytes, as one JSON document (docs/guide/attestation.md, "The envelope").
   *
   * @throws EvidenceError, errors of Node where the platform does not answer
   */
  evidence(data: Buffer): Promise<string>;
  /** Opens what was made for this machine's TPM; absent where it has none. */
  openCredential?(credential: Credential): Promise<Buffer>;
}

/** TCG event log of firmware and loader, and systemd's own, read each time; absent where there is none. */
export interface BootLogs {
  readonly eventLog?: (() => Promise<Uint8Array>) | undefined;
  readonly userspaceLog?: (() => Promise<Uint8Array>) | undefined;
}

export interface TpmAttesterOptions extends BootLogs {
  readonly transport: Transport;
  /** As it was enrolled. */
  readonly platform: TpmPlatform;
  readonly pcrs?: PcrSelection;
}

/** A TPM quotes its PCRs over the data (TPM 2.0 Part 3 §18.4), by an attestation key that is made anew from its seed. */
export class TpmAttester implements Attester {
  readonly #options: TpmAttesterOptions;

  constructor(options: TpmAttesterOptions) {
    this.#options = options;
  }

  async evidence(data: Buffer): Promise<string> {
    const { transport, platform, pcrs = DEFAULT_PCRS, eventLog, userspaceLog } = this.#options;
    const made = await quote(transport, AK_P256, pcrs, data);
    return JSON.stringify({
      v: 1,
      platform,
      tpm: { ...quoteMembers(made), akPublic: encodeBase64url(made.akPublicArea) },
      ...(await logMembers({ eventLog, userspaceLog })),
    });
  }

  openCredential(credential: Credential): Promise<Buffer> {
    return activateCredential(this.#options.transport, { ek: EK_P384, ak: AK_P256 }, credential);
  }
}

/** Members of a quote in an envelope. */
export function quoteMembers({ quote: quoted, signature, pcrs }: TpmQuote): object {
  return {
    quote: encodeBase64url(quoted),
    signature: encodeBase64url(signature),
    pcrs: Object.fromEntries(
      [...pcrs].map(([index, value]) => [String(index), encodeBase64url(value)]),
    ),
  };
}

export async function logMembers({ eventLog, userspaceLog }: BootLogs): Promise<object> {
  const [log, later] = await Promise.all([eventLog?.(), userspaceLog?.()]);
  return {
    ...(log && { eventLog: encodeBase64url(log) }),
    ...(later && { userspaceLog: encodeBase64url(later) }),
  };
}
