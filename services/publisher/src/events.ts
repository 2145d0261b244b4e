import type { EventClasses, EventSink } from "@redoubt/base";

export const PUBLISHER_EVENTS = {
  alarm: "security",
  registry_failed: "security",
  registry_back: "security",
  registry_entry_void: "security",
  site_built: "operation",
  issuer_left_out: "security",
  attestations_failed: "security",
  attestations_back: "security",
  attestation_left_out: "operation",
  // Anybody who asks for such a file makes one.
  file_damaged: "stranger",
  write_failed: "operation",
} as const satisfies EventClasses;

export type PublisherEvent = keyof typeof PUBLISHER_EVENTS;

/** Every business event of the publisher. */
export interface PublisherEvents {
  registryFailed(code: string): void;
  registryBack(size: number): void;
  entryVoid(index: number, code: string): void;
  siteBuilt(registrySize: number, issuers: number, keys: number): void;
  issuerLeftOut(reason: string): void;
  /** What stands beside keys cannot be read of this broker's log, or does not verify. */
  attestationsFailed(log: string, code: string): void;
  attestationsBack(log: string): void;
  /** There are more of them than may be shown. */
  attestationLeftOut(kid: string): void;
  fileDamaged(path: string): void;
  /** `path` was asked for. `found` is the file that is wrong: `path` itself, or one against which it is checked. */
  logFileDamaged(path: string, found: string): void;
  writeFailed(code: string): void;
}

export function publisherEvents(sink: EventSink<PublisherEvent>): PublisherEvents {
  return {
    registryFailed: (code) => sink("registry_failed", { code }),
    registryBack: (size) => sink("registry_back", { size }),
    entryVoid: (index, code) => sink("registry_entry_void", { index, code }),
    siteBuilt: (registrySize, issuers, keys) => sink("site_built", { registrySize, issuers, keys }),
    issuerLeftOut: (reason) => sink("issuer_left_out", { reason }),
    attestationsFailed: (log, code) => sink("attestations_failed", { log, code }),
    attestationsBack: (log) => sink("attestations_back", { log }),
    attestationLeftOut: (kid) => sink("attestation_left_out", { kid }),
    fileDamaged: (path) => sink("file_damaged", { path }),
    logFileDamaged: (path, found) =>
      sink("alarm", { kind: "file-damaged", severity: "warning", path, found }),
    writeFailed: (code) => sink("write_failed", { code }),
  };
}
