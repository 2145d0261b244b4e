import { hash } from "node:crypto";
import { Secret } from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { TOKEN_ALGORITHMS } from "../pkcs11/algorithms.ts";
import {
  CKF,
  CKU_USER,
  isCryptoki,
  returnValue,
  type Attribute,
  type Cryptoki,
  type Handle,
} from "../pkcs11/cryptoki.ts";
import { inspectKey } from "../pkcs11/key-inspection.ts";
import { listIds } from "../pkcs11/objects.ts";
import { runChild, softHsmEnv, SOFTHSM_MODULE, type SoftToken } from "./softhsm.ts";

/** More calls than the adapter makes. */
export interface RawCryptoki extends Cryptoki {
  C_CloseAllSessions(slot: Handle): void;
  C_SetPIN(session: Handle, oldPin: string, newPin: string): void;
  C_CreateObject(session: Handle, template: readonly Attribute[]): Handle;
  C_SetAttributeValue(session: Handle, object: Handle, template: readonly Attribute[]): void;
}

/** A token as somebody sees it who loads the module himself and knows the PIN. */
export interface RawToken extends Disposable {
  readonly cryptoki: RawCryptoki;
  readonly slot: Handle;
  readonly session: Handle;
}

export async function loadRaw(): Promise<RawCryptoki> {
  const { PKCS11 } = (await import("pkcs11js")).default;
  const binding = new PKCS11();
  binding.load(SOFTHSM_MODULE);
  if (!isCryptoki(binding) || !isRaw(binding)) throw new TypeError("pkcs11js lacks calls");
  return binding;
}

function isRaw(binding: Cryptoki): binding is RawCryptoki {
  return ["C_CloseAllSessions", "C_CreateObject", "C_SetAttributeValue", "C_SetPIN"].every(
    (name) => name in binding,
  );
}

/** Joins the module's state of this process where there is one, and ends what it began. */
export async function openRawToken({ label, pin }: SoftToken): Promise<RawToken> {
  const cryptoki = await loadRaw();
  const began = unless("CKR_CRYPTOKI_ALREADY_INITIALIZED", () =>
    cryptoki.C_Initialize({ flags: CKF.OS_LOCKING_OK }),
  );
  const isWanted = (slot: Handle) => cryptoki.C_GetTokenInfo(slot).label.trimEnd() === label;
  const slot = cryptoki.C_GetSlotList(true).find(isWanted);
  if (!slot) throw new Error(`No token is labelled ${label}`);
  const session = cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  unless("CKR_USER_ALREADY_LOGGED_IN", () => cryptoki.C_Login(session, CKU_USER, pin.reveal()));
  return {
    cryptoki,
    slot,
    session,
    [Symbol.dispose]() {
      if (began) cryptoki.C_Finalize();
      else unless("CKR_SESSION_HANDLE_INVALID", () => cryptoki.C_CloseSession(session));
    },
  };
}

function unless(name: string, call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (returnValue(error) !== name) throw error;
    return false;
  }
}

export interface StolenUse {
  /** Folder of `createSoftHsm`. */
  readonly softHsm: string;
  readonly token: SoftToken;
  /** Public half of the key to use. */
  readonly publicJwk: Readonly<Record<string, string>>;
  readonly input: Uint8Array;
}

/**
 * THREAT-03: the real key, used outside the service by somebody who has the PIN, in a process of his own. For tests
 * of what finds that out; nothing of it is shipped.
 */
export async function signBehindTheSigner(use: StolenUse): Promise<Buffer> {
  const { code, output } = await runChild(
    import.meta.filename,
    {
      ...softHsmEnv(use.softHsm),
      STOLEN_LABEL: use.token.label,
      STOLEN_PIN: use.token.pin.reveal(),
      STOLEN_KEY: JSON.stringify(use.publicJwk),
      STOLEN_INPUT: encodeBase64url(use.input),
    },
    [],
  );
  if (code !== 0) throw new Error(output);
  return decodeBase64url(output.trim());
}

async function signAsThief(env: NodeJS.ProcessEnv): Promise<Buffer> {
  const pin = new Secret(env.STOLEN_PIN ?? "");
  using raw = await openRawToken({ label: env.STOLEN_LABEL ?? "", pin });
  const { cryptoki, session } = raw;
  const wanted = membersOf(JSON.parse(env.STOLEN_KEY ?? "{}"));
  const input = decodeBase64url(env.STOLEN_INPUT ?? "");
  for (const id of listIds(cryptoki, session).whole) {
    const key = inspectKey(cryptoki, session, id);
    if (!key || membersOf(key.publicJwk) !== wanted) continue;
    const { signing, hashesFirst, signatureBytes } = TOKEN_ALGORITHMS[key.alg];
    cryptoki.C_SignInit(session, signing, key.handle);
    const data = hashesFirst ? hash("sha256", input, "buffer") : input;
    return cryptoki.C_Sign(session, data, Buffer.alloc(signatureBytes));
  }
  throw new Error("Token holds no such key");
}

function membersOf(jwk: object): string {
  return JSON.stringify(Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

if (import.meta.main) process.stdout.write(encodeBase64url(await signAsThief(process.env)));
