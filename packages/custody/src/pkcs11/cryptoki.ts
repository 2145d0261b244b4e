import { KeyError } from "@redoubt/keys";

/** Session, slot and object handles, as the binding gives them: the bytes of a CK_ULONG. */
export type Handle = Buffer;

export interface Attribute {
  readonly type: number;
  readonly value?: boolean | number | string | Buffer;
}

export interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: {
    readonly type: number;
    readonly hashAlg: number;
    readonly mgf: number;
    readonly saltLen: number;
  };
}

interface ObjectPair {
  readonly publicKey: Handle;
  readonly privateKey: Handle;
}

/** The calls of PKCS#11 that this adapter makes, and no other (PKCS#11 2.40 §5). */
export interface Cryptoki {
  C_Initialize(options: { readonly flags: number }): void;
  C_Finalize(): void;
  C_GetSlotList(tokenPresent: boolean): readonly Handle[];
  C_GetSlotInfo(slot: Handle): { readonly flags: number };
  C_GetTokenInfo(slot: Handle): { readonly label: string; readonly flags: number };
  C_GetMechanismList(slot: Handle): readonly number[];
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_GetSessionInfo(session: Handle): { readonly state: number };
  C_Login(session: Handle, user: number, pin: string): void;
  C_Logout(session: Handle): void;
  C_FindObjectsInit(session: Handle, template: readonly Attribute[]): void;
  C_FindObjects(session: Handle, max: number): readonly Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(
    session: Handle,
    object: Handle,
    template: readonly { readonly type: number }[],
  ): readonly { readonly value?: Buffer }[];
  C_DestroyObject(session: Handle, object: Handle): void;
  C_GenerateKeyPair(
    session: Handle,
    mechanism: Mechanism,
    publicTemplate: readonly Attribute[],
    privateTemplate: readonly Attribute[],
  ): ObjectPair;
  C_GenerateKeyPairAsync(
    session: Handle,
    mechanism: Mechanism,
    publicTemplate: readonly Attribute[],
    privateTemplate: readonly Attribute[],
  ): Promise<ObjectPair>;
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_Sign(session: Handle, data: Uint8Array, out: Buffer): Buffer;
  C_SignAsync(session: Handle, data: Uint8Array, out: Buffer): Promise<Buffer>;
}

// Values of PKCS#11 2.40 and 3.0 (EdDSA); the binding lacks some and gives others as undefined.
export const CKU_USER = 1;
/** The two states of a session in which private keys can be used. */
export const CKS_USER_FUNCTIONS: readonly number[] = [1, 3];
export const CKO_PUBLIC_KEY = 2;
export const CKO_PRIVATE_KEY = 3;
export const CKG_MGF1_SHA256 = 2;
/** The binding's own number for CK_RSA_PKCS_PSS_PARAMS. */
export const CK_PARAMS_RSA_PSS = 5;

export const CKF = {
  OS_LOCKING_OK: 0x2,
  HW_SLOT: 0x4,
  RW_SESSION: 0x2,
  SERIAL_SESSION: 0x4,
  USER_PIN_FINAL_TRY: 0x2_0000,
  USER_PIN_LOCKED: 0x4_0000,
} as const;

export const SESSION_FLAGS = CKF.SERIAL_SESSION | CKF.RW_SESSION;

export const CKM = {
  RSA_PKCS_KEY_PAIR_GEN: 0x0,
  SHA256_RSA_PKCS: 0x40,
  SHA256_RSA_PKCS_PSS: 0x43,
  SHA256: 0x250,
  EC_KEY_PAIR_GEN: 0x1040,
  ECDSA: 0x1041,
  EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  EDDSA: 0x1057,
} as const;

export const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  WRAP: 0x106,
  UNWRAP: 0x107,
  SIGN: 0x108,
  SIGN_RECOVER: 0x109,
  VERIFY: 0x10a,
  DERIVE: 0x10c,
  MODULUS: 0x120,
  MODULUS_BITS: 0x121,
  PUBLIC_EXPONENT: 0x122,
  EXTRACTABLE: 0x162,
  LOCAL: 0x163,
  NEVER_EXTRACTABLE: 0x164,
  ALWAYS_SENSITIVE: 0x165,
  MODIFIABLE: 0x170,
  EC_PARAMS: 0x180,
  EC_POINT: 0x181,
} as const;

const CALLS = [
  "C_Initialize",
  "C_Finalize",
  "C_GetSlotList",
  "C_GetSlotInfo",
  "C_GetTokenInfo",
  "C_GetMechanismList",
  "C_OpenSession",
  "C_CloseSession",
  "C_GetSessionInfo",
  "C_Login",
  "C_Logout",
  "C_FindObjectsInit",
  "C_FindObjects",
  "C_FindObjectsFinal",
  "C_GetAttributeValue",
  "C_DestroyObject",
  "C_GenerateKeyPair",
  "C_GenerateKeyPairAsync",
  "C_SignInit",
  "C_Sign",
  "C_SignAsync",
] as const satisfies readonly (keyof Cryptoki)[];

/** Whether the binding has every call, whatever its own types say. */
export function isCryptoki(binding: object): binding is Cryptoki {
  return CALLS.every((name) => typeof Reflect.get(binding, name) === "function");
}

const RETURN_VALUE = /\bCKR_[A-Z0-9_]{1,60}/;

/** Name of the CK_RV that a call failed with; "" for an error that is none of the module's. */
export function returnValue(error: unknown): string {
  // An error of ours may quote the module's: what was decided about that one stays decided.
  if (!(error instanceof Error) || error instanceof KeyError) return "";
  return RETURN_VALUE.exec(error.message)?.[0] ?? "";
}

/**
 * What a failed call says about the way to the token. `lost`: the session, the login or the device is gone.
 * `unclear`: the handles may have gone with a lost token, or the error may have any cause. `answered`: the token refused
 * the call, and would refuse it again.
 */
export function wayAfter(error: unknown): "lost" | "unclear" | "answered" {
  const name = returnValue(error);
  if (LOST.has(name)) return "lost";
  return UNCLEAR.has(name) ? "unclear" : "answered";
}

const LOST: ReadonlySet<string> = new Set([
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_SESSION_CLOSED",
  "CKR_USER_NOT_LOGGED_IN",
  "CKR_OPERATION_ACTIVE",
  "CKR_OPERATION_NOT_INITIALIZED",
  "CKR_DEVICE_REMOVED",
  "CKR_DEVICE_ERROR",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_TOKEN_NOT_RECOGNIZED",
  "CKR_SLOT_ID_INVALID",
  "CKR_CRYPTOKI_NOT_INITIALIZED",
]);

const UNCLEAR: ReadonlySet<string> = new Set([
  "CKR_OBJECT_HANDLE_INVALID",
  "CKR_KEY_HANDLE_INVALID",
  // Others may hold all sessions now, for ours may be lost: they are given back and opened anew.
  "CKR_SESSION_COUNT",
  "CKR_GENERAL_ERROR",
  "CKR_FUNCTION_FAILED",
  "CKR_DEVICE_MEMORY",
  "CKR_HOST_MEMORY",
  // A vendor's own value: often about the connection to the device.
  "CKR_VENDOR_DEFINED",
]);
