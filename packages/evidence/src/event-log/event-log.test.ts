import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import {
  bootEvents,
  encodeEvent,
  encodeLog,
  encodeLogHeader,
  exited,
  OTHER_TYPES,
  secureBootOn,
  separator7,
  type SyntheticEvent,
  utf16,
  variable,
} from "../testing/event-logs.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseEfiVariable } from "./efi-variable.ts";
import { EVENT_TYPES } from "./event-log.ts";
import { explainDifference } from "./explain.ts";
import { logClaims } from "./log-claims.ts";
import { parseEventLog } from "./parse-event-log.ts";
import { checkReplay, replay } from "./replay.ts";
import { appendUserspaceLog } from "./userspace-log.ts";

const format = { name: "EvidenceError", code: "ERR_EVIDENCE_FORMAT" };
const { noAction, ipl, crtmVersion } = EVENT_TYPES;
const { variableDriverConfig, separator } = OTHER_TYPES;

function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Claims of a log whose registers were all checked, or those that are named. */
function claimsOf(events: readonly SyntheticEvent[], registers?: readonly number[]) {
  const log = parseEventLog(encodeLog(events), "tcg2");
  const values = [...replay(log, "sha256")].filter(
    ([register]) => registers?.includes(register) ?? true,
  );
  return logClaims(checkReplay(log, new Map(values), "sha256"));
}

test("a log leads to its registers, and says what was booted", () => {
  assert.deepEqual(claimsOf(bootEvents()), {
    "secure-boot": true,
    "secure-boot-variables": { PK: sha256("pk"), db: sha256("db") },
    "firmware-version": "Firmware 1.0",
    "exit-boot-services": true,
    "boot-applications": [sha256("image")],
    "kernel-command-lines": ["quiet"],
    "grub-commands": ["/vmlinuz ro"],
    "uki-sections": { linux: sha256("kernel") },
  });
});

test("THREAT-14: what happened in a register that nobody checked is no fact", () => {
  assert.deepEqual(claimsOf(bootEvents(), [1]), { "exit-boot-services": false });
  assert.deepEqual(Object.keys(claimsOf(bootEvents(), [4])), [
    "exit-boot-services",
    "boot-applications",
  ]);
  assert.deepEqual(claimsOf(bootEvents(), [12]), {
    "exit-boot-services": false,
    "kernel-command-lines": ["quiet"],
  });
});

test("THREAT-13: a log that does not lead to the signed value names the register", () => {
  const log = parseEventLog(encodeLog(bootEvents()), "tcg2");
  const values = new Map(replay(log, "sha256")).set(4, Buffer.alloc(32, 1));
  assert.throws(() => checkReplay(log, values, "sha256"), {
    code: "ERR_EVIDENCE_REPLAY",
    part: "eventLog.registers[4]",
    expected: "01".repeat(32),
  });
  checkReplay(log, new Map([[9, Buffer.alloc(32)]]), "sha256");
  assert.throws(() => checkReplay(log, new Map([[9, Buffer.alloc(32, 1)]]), "sha256"), {
    part: "eventLog.registers[9]",
    found: "00".repeat(32),
  });
  assert.throws(() => replay(log, "sha384"), { code: "ERR_EVIDENCE_REPLAY", expected: "sha384" });
});

test("registers are extended as a TPM does", () => {
  const log = parseEventLog(
    encodeLog([
      { register: 3, type: 1, data: Buffer.from("a") },
      { register: 3, type: 1, data: Buffer.from("b") },
    ]),
    "tcg2",
  );
  const first = createHash("sha256")
    .update(Buffer.alloc(32))
    .update(createHash("sha256").update("a").digest())
    .digest();
  const second = createHash("sha256")
    .update(first)
    .update(createHash("sha256").update("b").digest())
    .digest();
  assert.deepEqual(replay(log, "sha256").get(3), second);
});

function locality(value: number, register = 0): SyntheticEvent {
  return {
    register,
    type: noAction,
    data: Buffer.concat([Buffer.from("StartupLocality\0"), Buffer.of(value)]),
  };
}

test("PCR 0 begins at the locality of the start", () => {
  const measured = { register: 0, type: 1, data: Buffer.from("a") };
  const start = Buffer.alloc(32);
  start[31] = 3;
  const expected = createHash("sha256")
    .update(start)
    .update(createHash("sha256").update("a").digest())
    .digest();
  assert.deepEqual(
    replay(parseEventLog(encodeLog([locality(3), measured]), "tcg2"), "sha256").get(0),
    expected,
  );
  const plain = replay(parseEventLog(encodeLog([measured]), "tcg2"), "sha256").get(0);
  for (const ignored of [
    locality(3, 1),
    { ...locality(3), data: Buffer.from("StartupLocality\0") },
    { ...locality(3), data: Buffer.from("StartupLocalitz\0\u0003") },
    { register: 0, type: noAction, data: Buffer.from("x") },
  ])
    assert.deepEqual(
      replay(parseEventLog(encodeLog([ignored, measured]), "tcg2"), "sha256").get(0),
      plain,
    );
  assert.deepEqual(
    replay(
      parseEventLog(
        encodeLog([measured, { register: 0, type: noAction, data: Buffer.from("x") }]),
        "tcg2",
      ),
      "sha256",
    ).get(0),
    plain,
  );
  assert.throws(
    () => replay(parseEventLog(encodeLog([measured, locality(3)]), "tcg2"), "sha256"),
    format,
  );
  replay(parseEventLog(encodeLog([locality(4)]), "tcg2"), "sha256");
  assert.throws(() => replay(parseEventLog(encodeLog([locality(5)]), "tcg2"), "sha256"), format);
  const ccel = encodeLog([locality(3)], "ccel", ["sha384"]);
  assert.equal(replay(parseEventLog(ccel, "ccel"), "sha384").size, 0);
});

const off = { ...secureBootOn, data: variable("SecureBoot", Buffer.of(0)) };
const PK: SyntheticEvent = { ...secureBootOn, data: variable("PK", Buffer.from("pk")) };

test("THREAT-13: Secure Boot is what firmware measures first, before its separator", () => {
  assert.equal(claimsOf([off, separator7])["secure-boot"], false);
  assert.equal(claimsOf([secureBootOn, PK, separator7])["secure-boot"], true);
  const empty = { ...off, data: variable("SecureBoot", Buffer.alloc(0)) };
  assert.equal(claimsOf([empty, separator7])["secure-boot"], false);
  const foreign = { ...off, data: variable("SecureBoot", Buffer.of(1), Buffer.alloc(16)) };
  for (const events of [
    [separator7, secureBootOn],
    [secureBootOn],
    [secureBootOn, { ...separator7, data: Buffer.of(1, 0, 0, 0) }],
    [secureBootOn, { ...separator7, register: 6 }],
    [{ ...secureBootOn, register: 6 }, separator7],
    [{ ...secureBootOn, measured: Buffer.from("other") }, separator7],
    [foreign, separator7],
    [{ ...secureBootOn, data: variable("Other", Buffer.of(1)) }, separator7],
    [PK, secureBootOn, separator7],
    [secureBootOn, secureBootOn, separator7],
    [secureBootOn, { ...PK, data: Buffer.from("UEFI Debug Mode") }, separator7],
    [{ ...off, data: Buffer.from("UEFI Debug Mode") }, secureBootOn, separator7],
  ])
    assert.equal("secure-boot" in claimsOf(events), false, JSON.stringify(events));
});

test("THREAT-13: a type that was changed later, which nothing measures, changes no claim", () => {
  const bytes = { register: 7, data: Buffer.alloc(4) };
  // Secure Boot is off. The sender hides that, calls the separator something else, and extends the register by "on".
  for (const type of [ipl, 1, variableDriverConfig, 0x99])
    for (const first of [off, { ...off, type }, { ...off, measured: off.data, data: bytes.data }])
      assert.notEqual(
        claimsOf([first, { ...bytes, type }, secureBootOn, separator7])["secure-boot"],
        true,
      );
  const old: SyntheticEvent = { register: 0, type: 1, data: utf16("Firmware 0.9") };
  const fresh: SyntheticEvent = { register: 0, type: crtmVersion, data: utf16("Firmware 1.0") };
  const hidden = { ...old, measured: old.data, data: Buffer.from("x") };
  for (const first of [old, hidden])
    for (const type of [ipl, separator])
      assert.notEqual(
        claimsOf([first, { ...bytes, register: 0, type }, fresh, { ...separator7, register: 0 }])[
          "firmware-version"
        ],
        "Firmware 1.0",
      );
});

test("the firmware's version is what PCR 0 begins with", () => {
  const version: SyntheticEvent = { register: 0, type: crtmVersion, data: utf16("1") };
  const end = { ...separator7, register: 0 };
  assert.equal(claimsOf([version, end])["firmware-version"], "1");
  assert.equal(claimsOf([version, { ...version, data: utf16("2") }, end])["firmware-version"], "1");
  for (const events of [
    [version],
    [end],
    [{ ...version, data: Buffer.from("one") }, end],
    [{ ...version, data: Buffer.from("1\0\0") }, end],
    [{ ...version, measured: Buffer.from("2") }, end],
    [{ ...version, register: 1 }, end],
    [{ ...version, data: Buffer.from("x") }, version, end],
  ])
    assert.equal("firmware-version" in claimsOf(events), false, JSON.stringify(events));
});

test("THREAT-13: whatever was started stands among the applications, whatever it is called", () => {
  const evil = { register: 4, data: Buffer.from("path"), measured: Buffer.from("evil") };
  const good = { ...evil, type: 0x8000_0003, measured: Buffer.from("image") };
  const returned = Buffer.from("Returning from EFI Application from Boot Option");
  for (const type of [1, separator, 0x8000_0007, ipl, 0x8000_0003])
    assert.deepEqual(claimsOf([{ ...evil, type }, good])["boot-applications"], [
      sha256("evil"),
      sha256("image"),
    ]);
  assert.deepEqual(
    claimsOf([good, { ...good, data: returned, measured: returned }])["boot-applications"],
    [sha256("image")],
  );
  assert.equal("boot-applications" in claimsOf([{ ...separator7, register: 4 }]), false);
});

test("THREAT-13: a register that was cut before the hand-over, or extended after it, is told", () => {
  const invocation = { ...exited, data: Buffer.from("Exit Boot Services Invocation") };
  for (const [events, expected] of [
    [[exited], true],
    [[{ register: 5, type: 1, data: Buffer.from("x") }, exited], true],
    [[{ ...exited, type: ipl }], true],
    [[invocation, exited, invocation, exited], true],
    [[exited, { register: 4, type: 1, data: Buffer.from("x") }], true],
    [[invocation], false],
    [[], false],
    [[exited, { register: 5, type: 1, data: Buffer.from("x") }], false],
    [[exited, { ...exited, data: Buffer.from("other") }], false],
    [[{ ...exited, measured: Buffer.from("other") }], false],
    [[{ ...exited, register: 4 }], false],
  ] as const)
    assert.equal(claimsOf(events)["exit-boot-services"], expected, JSON.stringify(events));
});

test("THREAT-13: command lines are told for the whole register, or not at all", () => {
  const stub: SyntheticEvent = { register: 12, type: ipl, data: utf16("ro") };
  const evil = { ...stub, data: utf16("init=/evil") };
  assert.deepEqual(claimsOf([stub])["kernel-command-lines"], ["ro"]);
  for (const type of [ipl, 1, separator])
    assert.deepEqual(claimsOf([{ ...evil, type }, stub])["kernel-command-lines"], [
      "init=/evil",
      "ro",
    ]);
  for (const events of [
    [stub, { ...stub, measured: Buffer.from("credentials") }],
    [stub, { ...stub, data: Buffer.from("ro") }],
    [stub, { ...stub, data: Buffer.from("ro\0") }],
    [{ ...stub, register: 11 }],
  ])
    assert.equal("kernel-command-lines" in claimsOf(events), false, JSON.stringify(events));
});

function command(data: string, measured: string): SyntheticEvent {
  return { register: 8, type: ipl, data: Buffer.from(data), measured: Buffer.from(measured) };
}

test("THREAT-13: a command line of GRUB is one of its commands: its prefix is not measured", () => {
  const events = [command("grub_cmd: set x", "set x"), command("kernel_cmdline: ro\0", "ro")];
  assert.deepEqual(claimsOf(events)["grub-commands"], ["set x", "ro"]);
  assert.deepEqual(claimsOf([command("plain", "plain")])["grub-commands"], ["plain"]);
  assert.equal("kernel-command-lines" in claimsOf(events), false);
  assert.equal("grub-commands" in claimsOf([...events, command("a: b", "c")]), false);
  assert.equal("grub-commands" in claimsOf([command("x a: b", "b")]), false);
  assert.equal("grub-commands" in claimsOf([{ ...command("ro", "ro"), register: 9 }]), false);
});

function hashed(text: string): SyntheticEvent {
  return { register: 11, type: ipl, data: Buffer.from("x"), measured: Buffer.from(text) };
}

function section(name: string, content: string): readonly SyntheticEvent[] {
  return [hashed(`${name}\0`), hashed(content)];
}

test("THREAT-13: sections of a UKI are those at the front, each once, in the stub's order", () => {
  const entered: SyntheticEvent = { register: 11, type: ipl, data: Buffer.from("enter-initrd") };
  const kernel = section(".linux", "kernel");
  assert.deepEqual(claimsOf(kernel)["uki-sections"], { linux: sha256("kernel") });
  const claims = claimsOf([...kernel, ...section(".initrd", "initrd"), entered]);
  assert.deepEqual(claims["uki-sections"], { linux: sha256("kernel"), initrd: sha256("initrd") });
  assert.deepEqual(claims["boot-phases"], ["enter-initrd"]);
  for (const events of [
    [hashed(".linux\0")],
    [entered],
    // An evil kernel, and the approved one after it.
    [...section(".linux", "evil"), ...kernel],
    [...section(".linux", "evil"), entered, ...kernel],
    [...section(".initrd", "initrd"), ...kernel],
    [...section(".other", "x"), ...kernel],
    [...kernel, hashed("hidden")],
  ]) {
    const made = claimsOf(events);
    assert.equal("uki-sections" in made, false, JSON.stringify(events));
    assert.equal("boot-phases" in made, false);
  }
});

test("a CCEL log proves the hand-over alone, and has padding", () => {
  const moved: Readonly<Record<number, number>> = { 0: 1, 7: 1, 4: 2, 5: 2, 8: 3, 11: 3, 12: 3 };
  const events = bootEvents().map((event) => ({ ...event, register: moved[event.register] ?? 0 }));
  const bytes = encodeLog(events, "ccel", ["sha384"]);
  const log = parseEventLog(Buffer.concat([bytes, Buffer.alloc(100, 0xff)]), "ccel");
  const claims = logClaims(checkReplay(log, replay(log, "sha384"), "sha384"));
  assert.deepEqual(claims, { "exit-boot-services": true });
  const torn = Buffer.concat([bytes, Buffer.alloc(8, 0xff), Buffer.alloc(1)]);
  assert.throws(() => parseEventLog(torn, "ccel"), format);
  assert.throws(
    () => parseEventLog(Buffer.concat([encodeLog([]), Buffer.alloc(100, 0xff)]), "tcg2"),
    format,
  );
});

function header(change: (bytes: Buffer) => void): Buffer {
  const bytes = encodeLogHeader("tcg2", ["sha1", "sha256"]);
  change(bytes);
  return bytes;
}

test("a header that is not as specified is refused", () => {
  parseEventLog(
    header(() => undefined),
    "tcg2",
  );
  const unsupported = { code: "ERR_EVIDENCE_UNSUPPORTED" };
  assert.throws(
    () =>
      parseEventLog(
        header((b) => b.writeUInt32LE(1, 0)),
        "tcg2",
      ),
    unsupported,
  );
  assert.throws(
    () =>
      parseEventLog(
        header(() => undefined),
        "ccel",
      ),
    unsupported,
  );
  assert.throws(
    () =>
      parseEventLog(
        header((b) => b.writeUInt32LE(8, 4)),
        "tcg2",
      ),
    unsupported,
  );
  assert.throws(
    () =>
      parseEventLog(
        header((b) => b.writeUInt8(0x31, 32 + 13)),
        "tcg2",
      ),
    unsupported,
  );
  for (const change of [
    (b: Buffer) => b.writeUInt8(1, 8),
    (b: Buffer) => b.writeUInt32LE(0, 56),
    (b: Buffer) => b.writeUInt32LE(9, 56),
    (b: Buffer) => b.writeUInt32LE(1, 56),
    (b: Buffer) => b.writeUInt16LE(0x99, 60),
    (b: Buffer) => b.writeUInt16LE(21, 62),
    (b: Buffer) => b.writeUInt16LE(4, 64) + b.writeUInt16LE(20, 66),
    (b: Buffer) => b.writeUInt8(1, b.length - 1),
  ])
    assert.throws(() => parseEventLog(header(change), "tcg2"), format);
  assert.throws(() => parseEventLog(Buffer.alloc(0), "tcg2"), format);
});

test("an event that is not as specified, or a log that is too large, is refused", () => {
  const one = { register: 4, type: 1, data: Buffer.from("x") };
  const changed = (change: (event: Buffer) => void): Buffer => {
    const event = encodeEvent(one, ["sha1", "sha256"]);
    change(event);
    return Buffer.concat([encodeLogHeader("tcg2", ["sha1", "sha256"]), event]);
  };
  const size = { code: "ERR_EVIDENCE_SIZE" };
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt32LE(24, 0)),
        "tcg2",
      ),
    format,
  );
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt32LE(1, 8)),
        "tcg2",
      ),
    format,
  );
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt32LE(4_000_000_000, 8)),
        "tcg2",
      ),
    format,
  );
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt16LE(0xb, 12)),
        "tcg2",
      ),
    format,
  );
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt32LE(262_145, b.length - 5)),
        "tcg2",
      ),
    { ...size, part: "eventLog.event" },
  );
  assert.throws(
    () =>
      parseEventLog(
        changed((b) => b.writeUInt32LE(2, b.length - 5)),
        "tcg2",
      ),
    format,
  );
  assert.throws(() => parseEventLog(Buffer.alloc(1_048_577), "tcg2"), {
    ...size,
    part: "eventLog.log",
  });
  const many = (count: number) =>
    encodeLog(Array.from({ length: count }, () => ({ ...one, data: Buffer.alloc(0) })));
  assert.equal(parseEventLog(many(4096), "tcg2").events.length, 4096);
  assert.throws(() => parseEventLog(many(4097), "tcg2"), { ...size, part: "eventLog.events" });
  assert.throws(
    () => parseEventLog(encodeLog([{ ...one, register: 5 }], "ccel", ["sha384"]), "ccel"),
    format,
  );
});

test("variables are held to their sizes", () => {
  const good = variable("db", Buffer.from("value"));
  assert.deepEqual(parseEfiVariable(good).value, Buffer.from("value"));
  const long = Buffer.from(good);
  long.writeBigUInt64LE(257n, 16);
  const missing = Buffer.from(good);
  missing.writeBigUInt64LE(2n ** 60n, 24);
  for (const bytes of [long, missing])
    assert.throws(() => parseEfiVariable(bytes), {
      ...format,
      message: "EFI variable: impossible size",
    });
  for (const bytes of [good.subarray(0, -1), Buffer.concat([good, Buffer.of(0)])])
    assert.throws(() => parseEfiVariable(bytes), format);
  assert.equal(parseEfiVariable(variable("n".repeat(256), Buffer.alloc(0))).name.length, 256);
});

function userspace(...records: readonly unknown[]): Buffer {
  return Buffer.from(records.map((record) => `\u001e${JSON.stringify(record)}\n`).join(""));
}

function phase(text: string, changes: object = {}): object {
  const digests = [
    { hashAlg: "sha1", digest: "00" },
    { hashAlg: "sha256", digest: sha256(text) },
  ];
  return { pcr: 11, digests, content_type: "systemd", content: { string: text }, ...changes };
}

test("phases that systemd measured are replayed, too", () => {
  const firmware = parseEventLog(encodeLog(bootEvents()), "tcg2");
  const log = appendUserspaceLog(
    firmware,
    userspace(phase("enter-initrd"), phase("ready"), phase("x", { pcr: 15, content: undefined })),
  );
  const values = replay(log, "sha256");
  const claims = logClaims(checkReplay(log, values, "sha256"));
  assert.deepEqual(claims["boot-phases"], ["enter-initrd", "ready"]);
  assert.equal(claims["exit-boot-services"], true);
  assert.equal(claims["secure-boot"], true);
  assert.throws(() => checkReplay(firmware, values, "sha256"), { part: "eventLog.registers[11]" });
  const nameless = appendUserspaceLog(firmware, userspace(phase("ready", { content: {} })));
  const others = logClaims(checkReplay(nameless, replay(nameless, "sha256"), "sha256"));
  assert.equal("boot-phases" in others || "uki-sections" in others, false);
  assert.equal(appendUserspaceLog(firmware, userspace()).events.length, firmware.events.length);
});

test("what userspace says is bounded, and never about firmware", () => {
  const firmware = parseEventLog(encodeLog([]), "tcg2");
  for (const record of [
    phase("x", { pcr: 7 }),
    phase("x", { pcr: 16 }),
    phase("x", { pcr: 8.5 }),
    phase("x", { pcr: "11" }),
    phase("x", { digests: {} }),
    phase("x", { digests: ["x"] }),
    phase("x", { digests: [{ hashAlg: "sha256", digest: "00" }] }),
    phase("x", { digests: [{ hashAlg: "sha256", digest: 5 }] }),
    phase("x", { digests: Array.from({ length: 5 }, () => ({})) }),
    [],
  ])
    assert.throws(
      () => appendUserspaceLog(firmware, userspace(record)),
      format,
      JSON.stringify(record),
    );
  appendUserspaceLog(
    firmware,
    userspace(phase("x", { pcr: 8 }), phase("x", { pcr: 15, content: 5 })),
  );
  assert.throws(() => appendUserspaceLog(firmware, Buffer.from("{}")), format);
  assert.throws(() => appendUserspaceLog(firmware, Buffer.from("\u001e{")), {
    ...format,
    part: "userspaceLog",
  });
  assert.throws(() => appendUserspaceLog(firmware, Buffer.alloc(1_048_577)), {
    code: "ERR_EVIDENCE_SIZE",
  });
  assert.throws(
    () =>
      appendUserspaceLog(firmware, userspace(...Array.from({ length: 4097 }, () => phase("x")))),
    format,
  );
});

function explained(change: (events: readonly SyntheticEvent[]) => readonly SyntheticEvent[]) {
  const before = parseEventLog(encodeLog(bootEvents()), "tcg2");
  return explainDifference(
    before,
    parseEventLog(encodeLog(change(bootEvents())), "tcg2"),
    "sha256",
  );
}

test("two boots are compared in words", () => {
  assert.deepEqual(
    explained((events) => events),
    [],
  );
  const changed = explained((events) =>
    events.map((event) => {
      if (event === secureBootOn) return { ...event, data: variable("SecureBoot", Buffer.of(0)) };
      if (event.register === 8)
        return {
          ...event,
          data: Buffer.from("kernel_cmdline: rw \u001b[2J"),
          measured: Buffer.from("rw"),
        };
      if (event.type === crtmVersion) return { ...event, data: utf16("Firmware 2.0") };
      return event;
    }),
  );
  assert.deepEqual(changed, [
    {
      register: 0,
      kind: "changed",
      what: "firmware version",
      before: "Firmware 1.0",
      after: "Firmware 2.0",
    },
    { register: 7, kind: "changed", what: "variable SecureBoot", before: "on", after: "off" },
    {
      register: 8,
      kind: "changed",
      what: "loader kernel_cmdline",
      before: "kernel_cmdline: /vmlinuz ro",
      after: "kernel_cmdline: rw ?[2J",
    },
  ]);
  const application = {
    register: 4,
    type: OTHER_TYPES.bootServicesApplication,
    data: Buffer.from("p"),
    measured: Buffer.from("other"),
  };
  assert.deepEqual(
    explained((events) => [...events, application]),
    [
      {
        register: 4,
        kind: "added",
        what: "boot application",
        before: undefined,
        after: `digest ${sha256("other")}`,
      },
    ],
  );
  assert.deepEqual(
    explained((events) => events.filter((event) => event.register !== 12)),
    [{ register: 12, kind: "removed", what: "loader", before: "quiet", after: undefined }],
  );
  assert.deepEqual(
    explained((events) => [...events, { register: 9, type: 0x99, data: Buffer.from("x") }])[0]
      ?.what,
    "event 0x99",
  );
  assert.deepEqual(
    explained((events) => [locality(3), ...events]).map(({ register, kind }) => [register, kind]),
    [[0, "order"]],
  );
  const twice = explained((events) => [
    ...events,
    ...events.filter(({ register }) => register === 12),
  ]);
  assert.deepEqual(
    twice.map(({ register, kind, after }) => [register, kind, after]),
    [[12, "added", "quiet"]],
  );
});

test("what cannot be read is explained by its digest, and nothing is long", () => {
  const broken = { register: 7, type: variableDriverConfig, data: Buffer.from("x") };
  const long = { register: 9, type: ipl, data: Buffer.from("y".repeat(400)) };
  const [first, second] = explained((events) => [...events, broken, long]);
  assert.deepEqual([first?.what, first?.after], ["variable", `digest ${sha256("x")}`]);
  assert.equal(second?.after?.length, 163);
});

test("only what is a variable is named like one", () => {
  const table = { register: 5, type: 0x8000_0006, data: variable("x", Buffer.alloc(1)) };
  assert.equal(explained((events) => [...events, table])[0]?.what, "partition table");
});

test("the number of algorithms is bounded before they are read", () => {
  for (const count of [0, 9, 4_000_000_000])
    assert.throws(
      () =>
        parseEventLog(
          header((b) => b.writeUInt32LE(count, 56)),
          "tcg2",
        ),
      { ...format, message: "Event log: impossible number of algorithms" },
    );
});

test("any bytes give a log or a coded error", () => {
  const good = encodeLog(bootEvents());
  fc.assert(
    fc.property(
      fc.nat(good.length - 1),
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      (at, bytes) => {
        const changed = Buffer.from(good);
        changed.set(bytes.subarray(0, changed.length - at), at);
        try {
          const log = parseEventLog(changed, "tcg2");
          logClaims(checkReplay(log, replay(log, "sha256"), "sha256"));
        } catch (error) {
          assert.ok(error instanceof EvidenceError, String(error));
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("real logs: Google, with and without Secure Boot", { skip: WITHOUT_VECTORS }, () => {
  for (const [name, secureBoot, applications] of [
    ["cos-101-amd-sev", true, 4],
    ["ubuntu-2404-amd-sevsnp", false, 2],
    ["with-sp800155", true, 3],
  ] as const) {
    const log = parseEventLog(attestationVector(`eventlog/${name}.bin`), "tcg2");
    const claims = logClaims(checkReplay(log, replay(log, "sha256"), "sha256"));
    assert.equal(claims["secure-boot"], secureBoot, name);
    assert.equal(claims["exit-boot-services"], true, name);
    assert.equal(Object(claims["boot-applications"]).length, applications, name);
  }
  for (const name of ["debian-10", "negative-short-no-action"])
    assert.throws(() => parseEventLog(attestationVector(`eventlog/${name}.bin`), "tcg2"), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
    });
});

test(
  "a real CCEL log leads to the registers of the quote that belongs to it",
  { skip: WITHOUT_VECTORS },
  () => {
    const quote = attestationVector("tdx/cos-113-quote.dat");
    const rtmrs = [0, 1, 2, 3].map(
      (i) => [i + 1, quote.subarray(48 + 328 + 48 * i, 48 + 376 + 48 * i)] as const,
    );
    const log = parseEventLog(
      attestationVector("eventlog/ccel-cos-113-matching-quote.bin"),
      "ccel",
    );
    assert.equal(logClaims(checkReplay(log, new Map(rtmrs), "sha384"))["exit-boot-services"], true);
  },
);
