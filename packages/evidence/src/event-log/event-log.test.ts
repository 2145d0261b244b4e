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
const { noAction, ipl, variableDriverConfig, crtmVersion } = EVENT_TYPES;

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
    "kernel-command-lines": ["/vmlinuz ro", "quiet"],
    "uki-sections": { ".linux": sha256("kernel") },
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

test("THREAT-13: Secure Boot is what firmware measured before the separator, once", () => {
  const off = { ...secureBootOn, data: variable("SecureBoot", Buffer.of(0)) };
  assert.equal(claimsOf([off, separator7])["secure-boot"], false);
  assert.equal(
    claimsOf([{ ...off, data: variable("SecureBoot", Buffer.alloc(0)) }, separator7])[
      "secure-boot"
    ],
    false,
  );
  for (const events of [
    [separator7, secureBootOn],
    [secureBootOn],
    [{ ...secureBootOn, register: 6 }, { ...separator7, register: 6 }, separator7],
    [{ ...secureBootOn, measured: Buffer.from("other") }, separator7],
    [{ ...secureBootOn, type: ipl }, separator7],
    [{ ...secureBootOn, data: variable("SecureBoot", Buffer.of(1), Buffer.alloc(16)) }, separator7],
    [{ ...secureBootOn, data: variable("Other", Buffer.of(1)) }, separator7],
  ]) {
    assert.equal("secure-boot" in claimsOf(events), false, JSON.stringify(events));
  }
  assert.equal(claimsOf([off, separator7, secureBootOn])["secure-boot"], false);
  assert.throws(() => claimsOf([off, secureBootOn, separator7]), format);
});

test("the firmware's version counts where it is measured, once", () => {
  const version: SyntheticEvent = { register: 0, type: crtmVersion, data: utf16("1") };
  assert.equal(claimsOf([version])["firmware-version"], "1");
  for (const events of [
    [version, version],
    [{ ...version, measured: Buffer.from("2") }],
    [{ ...version, register: 1 }],
  ])
    assert.equal("firmware-version" in claimsOf(events), false);
});

test("THREAT-13: a log that was cut, or that goes on after the hand-over, is told", () => {
  const invocation = { ...exited, data: Buffer.from("Exit Boot Services Invocation") };
  for (const [events, expected] of [
    [[exited], true],
    [[invocation, exited, invocation, exited], true],
    [[invocation], false],
    [[], false],
    [[exited, { register: 4, type: 1, data: Buffer.from("x") }], false],
    [[exited, { ...exited, type: ipl }], false],
    [[exited, { ...exited, data: Buffer.from("other") }], false],
    [[{ ...exited, measured: Buffer.from("other") }], false],
    [[{ ...exited, register: 4 }], false],
    [
      [
        { register: 5, type: 1, data: Buffer.from("x") },
        { ...exited, register: 4 },
      ],
      false,
    ],
    [[{ ...exited, type: ipl }], false],
  ] as const) {
    assert.equal(claimsOf(events)["exit-boot-services"], expected);
  }
});

test("a command line is what the digest covers", () => {
  const grub: SyntheticEvent = {
    register: 8,
    type: ipl,
    data: Buffer.from("kernel_cmdline: ro"),
    measured: Buffer.from("ro"),
  };
  assert.deepEqual(claimsOf([grub])["kernel-command-lines"], ["ro"]);
  const stub: SyntheticEvent = { register: 12, type: ipl, data: utf16("ro") };
  assert.deepEqual(claimsOf([stub])["kernel-command-lines"], ["ro"]);
  for (const event of [
    { ...grub, measured: Buffer.from("rw") },
    { ...grub, type: 5 },
    { ...grub, register: 9 },
    { ...stub, measured: Buffer.from("rw") },
    { ...stub, data: Buffer.from("ro") },
    { ...stub, data: Buffer.from("ro\0") },
  ]) {
    const lines = claimsOf([event, { register: 8, type: 5, data: Buffer.alloc(1) }])[
      "kernel-command-lines"
    ];
    assert.deepEqual(lines, [], JSON.stringify(event));
  }
});

test("sections of a UKI are a name that is measured, and what follows", () => {
  const name: SyntheticEvent = {
    register: 11,
    type: ipl,
    data: utf16(".linux"),
    measured: Buffer.from(".linux\0"),
  };
  const content = { ...name, measured: Buffer.from("kernel") };
  assert.deepEqual(claimsOf([name, content])["uki-sections"], { ".linux": sha256("kernel") });
  for (const events of [
    [name],
    [{ ...name, measured: Buffer.from(".initrd\0") }, content],
    [{ ...name, data: utf16("linux"), measured: Buffer.from("linux\0") }, content],
    [
      { ...name, type: 5 },
      { ...content, type: 5 },
    ],
  ])
    assert.deepEqual(claimsOf(events)["uki-sections"], {}, JSON.stringify(events));
});

test("a CCEL log has its own registers, and padding", () => {
  const moved: Readonly<Record<number, number>> = { 0: 1, 7: 1, 4: 2, 5: 2, 8: 3, 11: 3, 12: 3 };
  const events = bootEvents().map((event) => ({ ...event, register: moved[event.register] ?? 0 }));
  const bytes = encodeLog(events, "ccel", ["sha384"]);
  const log = parseEventLog(Buffer.concat([bytes, Buffer.alloc(100, 0xff)]), "ccel");
  const claims = logClaims(checkReplay(log, replay(log, "sha384"), "sha384"));
  assert.equal(claims["secure-boot"], true);
  assert.equal(claims["exit-boot-services"], true);
  assert.deepEqual(claims["kernel-command-lines"], [".linux", "/vmlinuz ro", "quiet"].slice(1));
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
    userspace(
      phase("enter-initrd"),
      phase("ready", { content: {} }),
      phase("x", { pcr: 15, content: undefined }),
    ),
  );
  const values = replay(log, "sha256");
  const claims = logClaims(checkReplay(log, values, "sha256"));
  assert.deepEqual(claims["boot-phases"], ["enter-initrd", "unknown"]);
  assert.equal(claims["exit-boot-services"], true);
  assert.equal(claims["secure-boot"], true);
  assert.throws(() => checkReplay(firmware, values, "sha256"), { part: "eventLog.registers[11]" });
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
      if (event.register === 0) return { ...event, data: utf16("Firmware 2.0") };
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
    type: EVENT_TYPES.bootServicesApplication,
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
