import type { EventClasses, EventSink } from "@redoubt/base";
import { DELIVERY_EVENTS, deliveryEvents, type DeliveryEvents } from "@redoubt/wire";

export const ISSUER_EVENTS = {
  ...DELIVERY_EVENTS,
  // Anybody can be refused, as often as they like.
  token_refused: "stranger",
  // The same; the monitor's alarm is what is kept of it.
  guessing: "stranger",
  signer_refused: "operation",
  signer_answer_malformed: "security",
  signer_state: "operation",
  signer_keys_failed: "operation",
  // The library of sign-in failed in a way that it should not.
  login_failed: "operation",
  people_failed: "operation",
  logout_notice_failed: "operation",
  passkey_metadata_failed: "operation",
  passkey_metadata: "operation",
  // Anybody can show what is no pass.
  pass_refused: "stranger",
  passkey_removed: "security",
  registry_failed: "operation",
  registry_back: "operation",
  registry_withheld: "security",
  registry_entry_void: "security",
  registry_copy_damaged: "security",
  registry_copy_failed: "operation",
} as const satisfies EventClasses;

export type IssuerEvent = keyof typeof ISSUER_EVENTS;

/** Every business event of the issuer. Never a token, secret or assertion. */
export interface IssuerEvents extends DeliveryEvents {
  refused(fields: {
    readonly requestId: string;
    readonly tenant: string;
    readonly code: string;
    readonly cause?: string;
  }): void;
  /** Too many wrong credentials in one client's name from one address; said once until all are forgiven. */
  guessing(fields: {
    readonly tenant: string;
    /** Null where there is no such client. */
    readonly client: string | null;
    readonly address: string;
  }): void;
  signerRefused(code: string): void;
  signerAnswer(): void;
  signerState(ready: boolean, reason?: string): void;
  /** The keys that sign could not be asked for. */
  signerKeysFailed(code: string): void;
  /** Of the protocol library: what it says of its own failure. */
  loginFailed(message: string): void;
  /** The file about models of passkeys could not be taken; what was read before counts on. */
  passkeyMetadataFailed(code: string): void;
  passkeyMetadata(fields: { readonly number: number; readonly isStale: boolean }): void;
  /** What people need could not be opened; it is tried again with the next of them. */
  peopleFailed(code: string): void;
  /** A client did not take the word that a session is over; the last attempt is said as such. */
  logoutNoticeFailed(fields: {
    readonly client: string;
    readonly code: string;
    readonly isLast: boolean;
  }): void;
  /** Why a pass did not work. */
  passRefused(tenant: string, why: string): void;
  /** By an administrator, and why. */
  passkeyRemoved(fields: {
    readonly tenant: string;
    readonly person: string;
    readonly reason: string;
  }): void;
  registryFailed(code: string): void;
  registryBack(size: number): void;
  /** The signer was shown statements of this realm that we were not: all is read anew. */
  registryWithheld(size: number): void;
  /** An entry that changes nothing, and should never have been said. */
  entryVoid(index: number, code: string): void;
  /** What was kept of the registry cannot be believed, and is read again. */
  copyDamaged(code: string): void;
  /** It could not be kept; what it says counts all the same. */
  copyFailed(code: string): void;
}

export function issuerEvents(sink: EventSink<IssuerEvent>): IssuerEvents {
  return {
    ...deliveryEvents(sink),
    refused: (fields) => sink("token_refused", fields),
    guessing: (fields) => sink("guessing", fields),
    signerRefused: (code) => sink("signer_refused", { code }),
    signerAnswer: () => sink("signer_answer_malformed"),
    signerKeysFailed: (code) => sink("signer_keys_failed", { code }),
    loginFailed: (message) => sink("login_failed", { message }),
    passkeyMetadataFailed: (code) => sink("passkey_metadata_failed", { code }),
    passkeyMetadata: (fields) => sink("passkey_metadata", fields),
    peopleFailed: (code) => sink("people_failed", { code }),
    logoutNoticeFailed: (fields) => sink("logout_notice_failed", fields),
    passRefused: (tenant, why) => sink("pass_refused", { tenant, why }),
    passkeyRemoved: (fields) => sink("passkey_removed", fields),
    signerState: (ready, reason) => sink("signer_state", { ready, reason }),
    registryFailed: (code) => sink("registry_failed", { code }),
    registryBack: (size) => sink("registry_back", { size }),
    registryWithheld: (size) => sink("registry_withheld", { size }),
    entryVoid: (index, code) => sink("registry_entry_void", { index, code }),
    copyDamaged: (code) => sink("registry_copy_damaged", { code }),
    copyFailed: (code) => sink("registry_copy_failed", { code }),
  };
}
