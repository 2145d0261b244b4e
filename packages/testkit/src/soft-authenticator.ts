import { createHash, randomBytes, type KeyObject } from "node:crypto";
import { AttestationAuthority } from "./webauthn/attestation-authority.ts";
import { cbor, type CborItem } from "./webauthn/cbor-writer.ts";
import {
  COSE_ALGORITHM,
  makeCredentialKey,
  signWith,
  type CredentialKey,
  type SoftAlgorithm,
} from "./webauthn/credential-key.ts";

export interface SoftAuthenticatorOptions {
  readonly rpId: string;
  /** Default ES256. */
  readonly alg?: SoftAlgorithm;
  /** The model that it says it is; default `SOFT_AAGUID`. */
  readonly aaguid?: string;
  /** Default false for both: bound to the device. */
  readonly backupEligible?: boolean;
  readonly backedUp?: boolean;
  /** Whether each use raises the signature counter; synced passkeys leave it at zero. Default "rising". */
  readonly counter?: "rising" | "zero";
  /** Default "none". "x5c" is packed attestation by `authority`. */
  readonly attestation?: "none" | "self" | "x5c";
  /** Default: a root that nobody knows. */
  readonly authority?: AttestationAuthority;
  /** What the attestation certificate names as model; default `aaguid`, `null` for none. */
  readonly certifiedAaguid?: string | null;
  /** Sends the root in x5c, too. Default false. */
  readonly sendsRoot?: boolean;
}

/** What one answer says otherwise than it should. All but `signature` and `credentialId` are signed as they are. */
export interface SoftOverrides {
  readonly challenge?: string;
  readonly origin?: string;
  readonly type?: string;
  /** `undefined` said aloud leaves the member out. */
  readonly crossOrigin?: boolean | undefined;
  readonly topOrigin?: string;
  readonly rpIdHash?: Uint8Array;
  readonly flags?: { readonly [Name in keyof typeof FLAG]?: boolean };
  readonly counter?: number;
  /** "flip" changes one bit of the signature. */
  readonly signature?: Uint8Array | "flip";
  readonly aaguid?: string;
  /** base64url; `null` leaves it out. */
  readonly userHandle?: string | null;
  /** base64url, in the JSON alone. */
  readonly credentialId?: string;
}

interface Use {
  readonly origin: string;
  readonly overrides?: SoftOverrides;
}

/** What of the browser's creation options (WebAuthn §5.4) an authenticator needs. */
export interface SoftCreationOptions {
  readonly challenge: string;
  readonly user: { readonly id: string };
  readonly pubKeyCredParams: readonly { readonly alg: number }[];
}

/** RegistrationResponseJSON of WebAuthn §5.1. */
export interface SoftRegistration {
  id: string;
  rawId: string;
  type: "public-key";
  clientExtensionResults: Record<string, never>;
  response: { clientDataJSON: string; attestationObject: string; transports: string[] };
}

/** AuthenticationResponseJSON of WebAuthn §5.1. */
export interface SoftAssertion {
  id: string;
  rawId: string;
  type: "public-key";
  clientExtensionResults: Record<string, never>;
  response: {
    clientDataJSON: string;
    authenticatorData: string;
    signature: string;
    userHandle?: string;
  };
}

export const SOFT_AAGUID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0";

/** Bits of the flags (WebAuthn §6.1). */
const FLAG = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10 } as const;
const ATTESTED_DATA = 0x40;

/**
 * An authenticator and its browser in one, with one discoverable credential. It does what it is told: each test breaks
 * exactly one thing by `overrides`.
 *
 * @example
 * const key = new SoftAuthenticator({ rpId: "login.test" });
 * const response = key.register(options, { origin: "https://login.test" });
 */
export class SoftAuthenticator {
  readonly #options: SoftAuthenticatorOptions;
  readonly #credential: CredentialKey;
  readonly #id = randomBytes(32);
  #counter = 0;
  #userHandle = "";

  constructor(options: SoftAuthenticatorOptions) {
    this.#options = options;
    this.#credential = makeCredentialKey(options.alg ?? "ES256");
  }

  /** base64url. */
  get credentialId(): string {
    return this.#id.toString("base64url");
  }

  /** COSE_Key. */
  get publicKey(): Buffer {
    return this.#credential.publicKey;
  }

  /** @throws RangeError where the options do not offer its algorithm, as a real one fails */
  register(options: SoftCreationOptions, { origin, overrides = {} }: Use): SoftRegistration {
    const alg = COSE_ALGORITHM[this.#options.alg ?? "ES256"];
    if (!options.pubKeyCredParams.some((offered) => offered.alg === alg))
      throw new RangeError("The algorithm is not offered");
    this.#userHandle = options.user.id;
    const clientData = clientDataOf("webauthn.create", options.challenge, { origin, overrides });
    const authData = Buffer.concat([
      this.#head(ATTESTED_DATA, overrides),
      this.#attested(overrides),
    ]);
    const [fmt, statement] = this.#attest(Buffer.concat([authData, sha256(clientData)]), overrides);
    const attestation = new Map<string, CborItem>([
      ["fmt", fmt],
      ["attStmt", new Map(statement)],
      ["authData", authData],
    ]);
    return {
      ...this.#outer(overrides),
      response: {
        clientDataJSON: clientData.toString("base64url"),
        attestationObject: cbor(attestation).toString("base64url"),
        transports: ["internal"],
      },
    };
  }

  authenticate(
    options: { readonly challenge: string },
    { origin, overrides = {} }: Use,
  ): SoftAssertion {
    const clientData = clientDataOf("webauthn.get", options.challenge, { origin, overrides });
    const authData = this.#head(0, overrides);
    const signed = Buffer.concat([authData, sha256(clientData)]);
    const { userHandle = this.#userHandle } = overrides;
    return {
      ...this.#outer(overrides),
      response: {
        clientDataJSON: clientData.toString("base64url"),
        authenticatorData: authData.toString("base64url"),
        signature: signatureOf(this.#credential.privateKey, signed, overrides).toString(
          "base64url",
        ),
        ...(userHandle === null ? {} : { userHandle }),
      },
    };
  }

  #outer({ credentialId = this.credentialId }: SoftOverrides): Omit<SoftAssertion, "response"> {
    return {
      id: credentialId,
      rawId: credentialId,
      type: "public-key",
      clientExtensionResults: {},
    };
  }

  /** RP ID hash, flags and counter (WebAuthn §6.1). */
  #head(more: number, overrides: SoftOverrides): Buffer {
    const { rpId, backupEligible = false, backedUp = false, counter = "rising" } = this.#options;
    if (counter === "rising") this.#counter += 1;
    const said = { UP: true, UV: true, BE: backupEligible, BS: backedUp, ...overrides.flags };
    const bits =
      (said.UP ? FLAG.UP : 0) |
      (said.UV ? FLAG.UV : 0) |
      (said.BE ? FLAG.BE : 0) |
      (said.BS ? FLAG.BS : 0);
    const tail = Buffer.alloc(5);
    tail.writeUInt8(bits | more);
    tail.writeUInt32BE(overrides.counter ?? this.#counter, 1);
    return Buffer.concat([overrides.rpIdHash ?? sha256(Buffer.from(rpId)), tail]);
  }

  /** Attested credential data (WebAuthn §6.5.1). */
  #attested(overrides: SoftOverrides): Buffer {
    const aaguid = overrides.aaguid ?? this.#aaguid();
    return Buffer.concat([
      Buffer.from(aaguid.replaceAll("-", ""), "hex"),
      Buffer.of(0, this.#id.length),
      this.#id,
      this.publicKey,
    ]);
  }

  #aaguid(): string {
    return this.#options.aaguid ?? SOFT_AAGUID;
  }

  /** Format and statement (WebAuthn §8.2, §8.7). */
  #attest(
    signed: Buffer,
    overrides: SoftOverrides,
  ): readonly [string, readonly (readonly [string, CborItem])[]] {
    const { attestation = "none", alg = "ES256", certifiedAaguid, sendsRoot } = this.#options;
    if (attestation === "none") return ["none", []];
    if (attestation === "self") {
      const sig = signatureOf(this.#credential.privateKey, signed, overrides);
      return [
        "packed",
        [
          ["alg", COSE_ALGORITHM[alg]],
          ["sig", sig],
        ],
      ];
    }
    const { authority = new AttestationAuthority() } = this.#options;
    const aaguid = certifiedAaguid === undefined ? this.#aaguid() : certifiedAaguid;
    const { privateKey, x5c } = authority.leaf({ aaguid });
    const sig = signatureOf(privateKey, signed, overrides);
    const sent = sendsRoot === true ? [...x5c, authority.certificate] : x5c;
    return [
      "packed",
      [
        ["alg", COSE_ALGORITHM.ES256],
        ["sig", sig],
        ["x5c", sent],
      ],
    ];
  }
}

function clientDataOf(type: string, challenge: string, { origin, overrides = {} }: Use): Buffer {
  const { topOrigin } = overrides;
  const said = {
    type: overrides.type ?? type,
    challenge: overrides.challenge ?? challenge,
    origin: overrides.origin ?? origin,
    crossOrigin: "crossOrigin" in overrides ? overrides.crossOrigin : false,
    ...(topOrigin === undefined ? {} : { topOrigin }),
  };
  return Buffer.from(JSON.stringify(said));
}

function signatureOf(key: KeyObject, signed: Buffer, { signature }: SoftOverrides): Buffer {
  if (signature instanceof Uint8Array) return Buffer.from(signature);
  const made = signWith(key, signed);
  const last = made.length - 1;
  if (signature === "flip") made.writeUInt8(made.readUInt8(last) ^ 1, last);
  return made;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
