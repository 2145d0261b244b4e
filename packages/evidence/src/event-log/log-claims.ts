import { createHash } from "node:crypto";
import type { Claims } from "../claims.ts";
import { MEASURED_SECTIONS } from "../reference/measured-sections.ts";
import { EFI_GLOBAL_VARIABLE, findEfiVariable } from "./efi-variable.ts";
import { type BootEvent, EVENT_TYPES, type EventLogKind } from "./event-log.ts";
import type { ReplayedLog } from "./replay.ts";

/**
 * What a replayed log proves, under `event-log.` in a policy.
 *
 * Of a log only the digests are measured, and their order within one register. Types, data that no digest covers, and the
 * order across registers are whatever the sender writes; and whoever runs the machine later can extend any register. So
 * no claim is chosen by an event's type: what firmware measured is read from the front of its register, up to the
 * separator, which is known by its digest; what loaders measured is told for the whole register, or not at all.
 *
 * In a CCEL log one register takes what firmware, host and loader measure in turn: it proves the hand-over only, and its
 * other facts are the values of the registers.
 */
export function logClaims(log: ReplayedLog): Claims {
  const exit = { "exit-boot-services": hasExited(log) };
  return log.kind === "ccel"
    ? exit
    : {
        ...exit,
        ...secureBootClaims(log),
        ...firmwareClaims(log),
        ...applicationClaims(log),
        ...textClaims(log, "kernel-command-lines", PCR.stub, stubText),
        ...textClaims(log, "grub-commands", PCR.grub, grubText),
        ...sectionClaims(log),
      };
}

/** Where a PC's firmware and loaders measure (PFP §3.3.4; systemd, TPM2 PCR measurements; GRUB manual, Measured Boot). */
const PCR = {
  firmware: 0,
  applications: 4,
  secureBoot: 7,
  grub: 8,
  sections: 11,
  stub: 12,
} as const;
/** PCR 5, and RTMR 1 (UEFI specification §38.4.1). */
const EXIT: Readonly<Record<EventLogKind, number>> = { tcg2: 5, ccel: 2 };
const SEPARATOR = Buffer.alloc(4);

/** What was measured into a register that was checked; the digests are facts, the data only where a digest covers them. */
function inRegister({ events, registers }: ReplayedLog, register: number): readonly BootEvent[] {
  return registers.has(register)
    ? events.filter((event) => event.register === register && event.type !== EVENT_TYPES.noAction)
    : [];
}

function digestOf({ digests }: BootEvent, { bank }: ReplayedLog): string {
  return digests.get(bank)?.toString("hex") ?? "";
}

function covers(event: BootEvent, log: ReplayedLog, data: Uint8Array): boolean {
  return digestOf(event, log) === createHash(log.bank).update(data).digest("hex");
}

/** Firmware's own events: those before the first separator; none where it has none, or measured an error instead. */
function firmwareEvents(log: ReplayedLog, register: number): readonly BootEvent[] {
  const events = inRegister(log, register);
  const end = events.findIndex((event) => covers(event, log, SEPARATOR));
  return events.slice(0, Math.max(end, 0));
}

/** PFP §3.3.4.8: SecureBoot is the first that is measured into PCR 7, and the databases follow it. */
function secureBootClaims(log: ReplayedLog): Claims {
  const events = firmwareEvents(log, PCR.secureBoot);
  const variables = events
    .filter((event) => covers(event, log, event.data))
    .map(({ data }) => findEfiVariable(data))
    .filter((variable) => variable !== undefined);
  const [state] = variables;
  const names = new Set(variables.map(({ name }) => name));
  if (
    state?.name !== "SecureBoot" ||
    state.guid !== EFI_GLOBAL_VARIABLE ||
    // An event that is no variable may hide one.
    variables.length < events.length ||
    names.size < variables.length
  )
    return {};
  const databases = variables.filter(({ name }) => ["PK", "KEK", "db", "dbx"].includes(name));
  return {
    "secure-boot": state.value.equals(Buffer.of(1)),
    "secure-boot-variables": Object.fromEntries(
      databases.map(({ name, value }) => [name, createHash("sha256").update(value).digest("hex")]),
    ),
  };
}

/** PFP §3.3.4.1: the version is the first that is measured into PCR 0. Of a later event only its author knows what it is. */
function firmwareClaims(log: ReplayedLog): Claims {
  const [version] = firmwareEvents(log, PCR.firmware)
    .slice(0, 1)
    .filter((event) => covers(event, log, event.data));
  const text = version && utf16Text(version.data);
  return text === undefined ? {} : { "firmware-version": text };
}

/** What firmware measures into PCR 4 beside the programs that it starts (PFP §10.4.4). */
const BOOT_ACTIONS: readonly Uint8Array[] = [
  SEPARATOR,
  Buffer.from("Calling EFI Application from Boot Option"),
  Buffer.from("Returning from EFI Application from Boot Option"),
];

/** Every digest in PCR 4 that is not one of firmware's fixed texts: nothing that was started can be left out. */
function applicationClaims(log: ReplayedLog): Claims {
  const applications = inRegister(log, PCR.applications).filter(
    (event) => !BOOT_ACTIONS.some((text) => covers(event, log, text)),
  );
  return applications.length === 0
    ? {}
    : { "boot-applications": applications.map((event) => digestOf(event, log)) };
}

const EXITED = Buffer.from("Exit Boot Services Returned with Success");
const EXITS = [Buffer.from("Exit Boot Services Invocation"), EXITED];

/**
 * Whether the register ends with firmware's hand-over: a register that was quoted before it, or extended after it, does not.
 * Some firmware logs the two events twice (field report A11).
 */
function hasExited(log: ReplayedLog): boolean {
  const events = inRegister(log, EXIT[log.kind]);
  const at = events.findIndex((event) => covers(event, log, EXITED));
  return (
    at !== -1 && events.slice(at).every((event) => EXITS.some((text) => covers(event, log, text)))
  );
}

/** The texts of a register in their order; none where it is empty, since then another loader may have measured elsewhere. */
function textClaims(
  log: ReplayedLog,
  name: string,
  register: number,
  textOf: (event: BootEvent, log: ReplayedLog) => string | undefined,
): Claims {
  const texts = inRegister(log, register).map((event) => textOf(event, log));
  const known = texts.filter((text) => text !== undefined);
  return known.length === 0 || known.length < texts.length ? {} : { [name]: known };
}

/** systemd-stub measures a command line that is not the image's own as UTF-16 with its NUL, and logs the same. */
function stubText(event: BootEvent, log: ReplayedLog): string | undefined {
  return covers(event, log, event.data) ? utf16Text(event.data) : undefined;
}

function utf16Text(data: Buffer): string | undefined {
  return data.length % 2 === 0 && data.subarray(-2).equals(Buffer.alloc(2))
    ? data.toString("utf16le").replace(/\0+$/, "")
    : undefined;
}

/**
 * GRUB measures a command without the prefix that it logs ("grub_cmd: ", "kernel_cmdline: ") and without its NUL. The prefix
 * is covered by nothing, so a kernel's command line is one command among the others.
 */
function grubText(event: BootEvent, log: ReplayedLog): string | undefined {
  const end = event.data.at(-1) === 0 ? event.data.length - 1 : event.data.length;
  const start = /^[a-z_]{1,32}: /.exec(event.data.toString("latin1"))?.[0].length ?? 0;
  const text = event.data.subarray(start, end);
  return covers(event, log, text) ? text.toString("utf8") : undefined;
}

/**
 * systemd-stub measures each section's name, with its NUL, and then its contents, in a fixed order; systemd then measures
 * the phases of the boot as texts. A booted system can still add a later section than the image's last.
 */
function sectionClaims(log: ReplayedLog): Claims {
  const events = inRegister(log, PCR.sections);
  const sections: [string, string][] = [];
  let at = 0;
  for (const [name] of MEASURED_SECTIONS) {
    const [head, content] = events.slice(at, at + 2);
    if (head === undefined || !covers(head, log, Buffer.from(`${name}\0`))) continue;
    if (content === undefined) return {};
    sections.push([name.slice(1), digestOf(content, log)]);
    at += 2;
  }
  const phases = events.slice(at);
  if (sections.length === 0 || !phases.every((event) => covers(event, log, event.data))) return {};
  return {
    "uki-sections": Object.fromEntries(sections),
    ...(phases.length === 0
      ? {}
      : { "boot-phases": phases.map((event) => event.data.toString("utf8")) }),
  };
}
