import { createHash } from "node:crypto";
import type { Claims } from "../claims.ts";
import { EvidenceError } from "../evidence-error.ts";
import { EFI_GLOBAL_VARIABLE, parseEfiVariable } from "./efi-variable.ts";
import { type BootEvent, EVENT_TYPES, REGISTERS } from "./event-log.ts";
import type { ReplayedLog } from "./replay.ts";

/**
 * What a replayed log proves, under `event-log.` in a policy. An event counts only in the register that firmware measures
 * it into, if that register was checked, and its data only where the digest covers them: whoever runs the machine later can
 * extend any register, and write what they like beside a digest.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT` for events that contradict each other
 */
export function logClaims(log: ReplayedLog): Claims {
  const at = REGISTERS[log.kind];
  const applications = inRegister(log, at.bootCode).filter(
    ofType(EVENT_TYPES.bootServicesApplication),
  );
  const commandLines = at.commandLine.flatMap((register) =>
    inRegister(log, register).flatMap((event) => commandLine(event, log)),
  );
  return {
    ...secureBootClaims(log),
    ...firmwareClaims(log),
    "exit-boot-services": hasExited(log),
    ...(log.registers.has(at.bootCode)
      ? { "boot-applications": applications.map((event) => digestOf(event, log)) }
      : {}),
    ...(at.commandLine.some((register) => log.registers.has(register))
      ? { "kernel-command-lines": commandLines }
      : {}),
    ...sectionClaims(log),
    ...phaseClaims(log),
  };
}

function inRegister({ events, registers }: ReplayedLog, register: number): readonly BootEvent[] {
  return registers.has(register) ? events.filter((event) => event.register === register) : [];
}

function ofType(type: number): (event: BootEvent) => boolean {
  return (event) => event.type === type;
}

function digestOf({ digests }: BootEvent, { bank }: ReplayedLog): string {
  return digests.get(bank)?.toString("hex") ?? "";
}

function covers(event: BootEvent, log: ReplayedLog, data: Uint8Array): boolean {
  return digestOf(event, log) === createHash(log.bank).update(data).digest("hex");
}

/** Variables that firmware measured before the separator; later ones are of whoever ran then. */
function secureBootClaims(log: ReplayedLog): Claims {
  const events = inRegister(log, REGISTERS[log.kind].secureBoot);
  const end = events.findIndex(ofType(EVENT_TYPES.separator));
  const variables = events
    .slice(0, Math.max(end, 0))
    .filter(
      (event) => event.type === EVENT_TYPES.variableDriverConfig && covers(event, log, event.data),
    )
    .map((event) => parseEfiVariable(event.data));
  const states = variables.filter(
    ({ guid, name }) => guid === EFI_GLOBAL_VARIABLE && name === "SecureBoot",
  );
  const [state] = states;
  if (state === undefined) return {};
  if (states.length > 1)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Event log: Secure Boot is measured twice", {
      part: "eventLog",
    });
  const databases = variables.filter(({ name }) => ["PK", "KEK", "db", "dbx"].includes(name));
  return {
    "secure-boot": state.value.equals(Buffer.of(1)),
    "secure-boot-variables": Object.fromEntries(
      databases.map(({ name, value }) => [name, createHash("sha256").update(value).digest("hex")]),
    ),
  };
}

function firmwareClaims(log: ReplayedLog): Claims {
  const [version, ...others] = inRegister(log, REGISTERS[log.kind].firmware).filter(
    ofType(EVENT_TYPES.crtmVersion),
  );
  if (version === undefined || others.length > 0 || !covers(version, log, version.data)) return {};
  return { "firmware-version": version.data.toString("utf16le").replace(/\0+$/, "") };
}

const EXITED = Buffer.from("Exit Boot Services Returned with Success");
const EXITS = [Buffer.from("Exit Boot Services Invocation"), EXITED];

/**
 * A log that was cut before the firmware handed over lacks the last event, and a log to which events were added later has
 * others behind it. Some firmware logs the two exit events twice (field report A11).
 */
function hasExited(log: ReplayedLog): boolean {
  const { exit } = REGISTERS[log.kind];
  const isExit = (event: BootEvent, texts: readonly Buffer[]): boolean =>
    log.registers.has(exit) &&
    event.register === exit &&
    event.type === EVENT_TYPES.efiAction &&
    texts.some((text) => event.data.equals(text)) &&
    covers(event, log, event.data);
  const at = log.events.findIndex((event) => isExit(event, [EXITED]));
  return (
    at !== -1 &&
    log.events.slice(at).every((event) => event.isUserspace === true || isExit(event, EXITS))
  );
}

const GRUB_COMMAND_LINE = Buffer.from("kernel_cmdline: ");

/** GRUB measures the text without its prefix and NUL; systemd-stub measures UTF-16 with its NUL, and logs the same. */
function commandLine(event: BootEvent, log: ReplayedLog): readonly string[] {
  const { data, type } = event;
  if (type !== EVENT_TYPES.ipl) return [];
  if (data.subarray(0, GRUB_COMMAND_LINE.length).equals(GRUB_COMMAND_LINE)) {
    const end = data.at(-1) === 0 ? data.length - 1 : data.length;
    const text = data.subarray(GRUB_COMMAND_LINE.length, end);
    return covers(event, log, text) ? [text.toString("latin1")] : [];
  }
  const isStub =
    data.length % 2 === 0 && data.subarray(-2).equals(Buffer.alloc(2)) && covers(event, log, data);
  return isStub ? [data.toString("utf16le").replace(/\0+$/, "")] : [];
}

/** systemd-stub measures each section's name, with its NUL, and then its contents (systemd, TPM2 PCR measurements). */
function sectionClaims(log: ReplayedLog): Claims {
  const { sections } = REGISTERS[log.kind];
  if (!log.registers.has(sections)) return {};
  const events = inRegister(log, sections).filter(ofType(EVENT_TYPES.ipl));
  const found: [string, string][] = [];
  for (const [i, event] of events.entries()) {
    const name = event.data.toString("utf16le").replace(/\0+$/, "");
    const content = events[i + 1];
    if (
      content !== undefined &&
      /^\.[a-z0-9]{1,8}$/.test(name) &&
      covers(event, log, Buffer.from(`${name}\0`))
    )
      found.push([name, digestOf(content, log)]);
  }
  return { "uki-sections": Object.fromEntries(found) };
}

/** Phases of the boot that systemd measured into the sections' register, in order; what they are is the policy's matter. */
function phaseClaims(log: ReplayedLog): Claims {
  const events = inRegister(log, REGISTERS[log.kind].sections).filter(
    ({ isUserspace }) => isUserspace,
  );
  if (events.length === 0) return {};
  return {
    "boot-phases": events.map((event) =>
      covers(event, log, event.data) ? event.data.toString("latin1") : "unknown",
    ),
  };
}
