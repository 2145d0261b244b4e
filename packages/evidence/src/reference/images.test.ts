import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import { makeOvmf, makePe, type OvmfParts, PE, type PeParts } from "../testing/images.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseOvmf } from "./ovmf.ts";
import { parsePeImage } from "./pe-image.ts";
import { CPU_SIGNATURES, measureSnpLaunch, type SnpLaunch } from "./snp-launch.ts";
import { measureUki } from "./uki.ts";

const format = { name: "EvidenceError", code: "ERR_EVIDENCE_FORMAT" };

function sha256(...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const sections = [
  [".text", Buffer.from("code")],
  [".linux", Buffer.from("kernel")],
] as const;

test("Authenticode leaves out the checksum, the certificates, and where they stand", () => {
  const plain = makePe({ sections });
  const { authenticode, sections: found } = parsePeImage(plain);
  const expected = sha256(
    plain.subarray(0, PE.checksum),
    plain.subarray(PE.checksum + 4, PE.certificateEntry),
    plain.subarray(PE.certificateEntry + 8),
  );
  assert.deepEqual(authenticode, expected);
  assert.deepEqual(
    found.map(({ name, data }) => [name, String(data)]),
    [
      [".text", "code"],
      [".linux", "kernel"],
    ],
  );
  const signed = makePe({
    sections,
    certificates: Buffer.alloc(64, 7),
    change: (image) => image.writeUInt32LE(9, PE.checksum),
  });
  assert.deepEqual(parsePeImage(signed).authenticode, expected);
  const changed = makePe({ sections, change: (image) => image.writeUInt8(1, PE.sections - 1) });
  assert.notDeepEqual(parsePeImage(changed).authenticode, expected);
});

test("what stands behind the last section is measured, too", () => {
  const plain = makePe({ sections });
  const more = Buffer.concat([plain, Buffer.from("overlay")]);
  assert.notDeepEqual(parsePeImage(more).authenticode, parsePeImage(plain).authenticode);
});

test("sections are hashed by their place in the file, empty ones not at all", () => {
  const swapped = makePe({
    sections,
    change: (image) => {
      const [first, second] = [0, 1].map((i) =>
        Buffer.from(image.subarray(PE.sections + i * 40, PE.sections + i * 40 + 40)),
      );
      assert.ok(first !== undefined && second !== undefined);
      image.set(second, PE.sections);
      image.set(first, PE.sections + 40);
    },
  });
  const expected = sha256(
    swapped.subarray(0, PE.checksum),
    swapped.subarray(PE.checksum + 4, PE.certificateEntry),
    swapped.subarray(PE.certificateEntry + 8),
  );
  assert.deepEqual(parsePeImage(swapped).authenticode, expected);
  const empty = makePe({
    sections: [...sections, [".bss", Buffer.alloc(0)]],
    change: (image) => {
      image.writeUInt32LE(0, PE.sections + 80 + 20);
      image.writeUInt32LE(16, PE.sections + 80 + 8);
    },
  });
  assert.deepEqual(parsePeImage(empty).sections[2]?.data, Buffer.alloc(16));
});

test("an image that is cut off, or says impossible things, is refused", () => {
  const changes: readonly (readonly [string, (image: Buffer) => unknown])[] = [
    ["no DOS header", (image) => image.writeUInt8(0, 0)],
    ["cut off", (image) => image.writeUInt32LE(0xffff_fff0, 0x3c)],
    ["no PE header", (image) => image.writeUInt32LE(image.length - 4, 0x3c)],
    ["no PE header", (image) => image.writeUInt8(0, PE.pe)],
    ["impossible number of sections", (image) => image.writeUInt16LE(0, PE.pe + 6)],
    ["impossible number of sections", (image) => image.writeUInt16LE(97, PE.pe + 6)],
    ["headers are cut off", (image) => image.writeUInt16LE(0xffff, PE.pe + 20)],
    ["headers are cut off", (image) => image.writeUInt32LE(0xffff_ffff, PE.optional + 60)],
    ["headers are cut off", (image) => image.writeUInt32LE(300, PE.optional + 60)],
    ["no certificate table entry", (image) => image.writeUInt32LE(4, PE.optional + 108)],
    [
      "certificates are cut off",
      (image) => image.writeUInt32LE(0xffff_ffff, PE.certificateEntry + 4),
    ],
    ["section is cut off", (image) => image.writeUInt32LE(0xffff_ff00, PE.sections + 20)],
    ["section is cut off", (image) => image.writeUInt32LE(0x4000_0001, PE.sections + 8)],
    ["sections overlap", (image) => image.writeUInt32LE(512, PE.sections + 20)],
    ["sections overlap", (image) => image.writeUInt32LE(1024, PE.sections + 40 + 20)],
  ];
  for (const [problem, change] of changes)
    assert.throws(
      () => parsePeImage(makePe({ sections, change: (image) => void change(image) })),
      { ...format, message: `PE image: ${problem}` },
      problem,
    );
  assert.throws(
    () =>
      parsePeImage(
        makePe({ sections, change: (image) => void image.writeUInt16LE(0x10b, PE.optional) }),
      ),
    { code: "ERR_EVIDENCE_UNSUPPORTED" },
  );
  assert.throws(() => parsePeImage(Buffer.alloc(1)), format);
  assert.throws(() => parsePeImage(new Uint8Array(1_073_741_825)), { code: "ERR_EVIDENCE_SIZE" });
});

const kernel = makePe({ sections: [[".text", Buffer.from("kernel code")]] });

function uki(more: PeParts["sections"] = [], stub = "systemd-stub 257.9-1"): Buffer {
  return makePe({
    sections: [
      [".osrel", Buffer.from("ID=test")],
      [".cmdline", Buffer.from("quiet")],
      [".linux", kernel],
      [".sdmagic", Buffer.from(`#### LoaderInfo: ${stub} ####`)],
      ...more,
    ],
  });
}

function extended(...digests: readonly Buffer[]): Buffer {
  return digests.reduce<Buffer>((value, digest) => sha256(value, digest), Buffer.alloc(32));
}

test("PCR 4 and 11 of a unified kernel image, in the order of the stub", () => {
  const image = uki();
  const { pcr4, pcr11, applications } = measureUki(image);
  const [outer, inner] = [parsePeImage(image).authenticode, parsePeImage(kernel).authenticode];
  assert.deepEqual(applications, [outer, inner]);
  assert.deepEqual(
    pcr4,
    extended(
      sha256("Calling EFI Application from Boot Option"),
      sha256(Buffer.alloc(4)),
      outer,
      inner,
    ),
  );
  const digests = [
    sha256(".linux\0"),
    sha256(kernel),
    sha256(".osrel\0"),
    sha256("ID=test"),
    sha256(".cmdline\0"),
    sha256("quiet"),
  ];
  assert.deepEqual(pcr11, extended(...digests));
  assert.deepEqual(
    measureUki(image, ["enter-initrd"]).pcr11,
    extended(...digests, sha256("enter-initrd")),
  );
  const ignored = measureUki(
    uki([
      [".pcrsig", Buffer.from("x")],
      [".data", Buffer.from("y")],
    ]),
  );
  assert.deepEqual(ignored.pcr11, pcr11);
});

test("a stub measures what it knows, and newer sections are left out by older ones", () => {
  const sbat = [
    [".sbat", Buffer.from("sbat,1")],
    [".uname", Buffer.from("6.1")],
  ] as const;
  const old = "systemd-stub 252.39-1~deb12u2";
  assert.deepEqual(measureUki(uki(sbat, old)).pcr11, measureUki(uki([], old)).pcr11);
  const [uname, section] = [sha256(".uname\0"), sha256(".sbat\0")];
  const before = measureUki(uki([], "systemd-stub 253")).pcr11;
  const after = [uname, sha256("6.1"), section, sha256("sbat,1")].reduce<Buffer>(
    (value, digest) => sha256(value, digest),
    before,
  );
  assert.deepEqual(measureUki(uki(sbat, "systemd-stub 253")).pcr11, after);
  const ucode = [[".ucode", Buffer.from("u")]] as const;
  assert.deepEqual(measureUki(uki(ucode, "systemd-stub 255")).pcr11, before);
  assert.notDeepEqual(measureUki(uki(ucode, "systemd-stub 256")).pcr11, before);
});

test("an image of another stub, or with sections to choose from, is refused", () => {
  for (const stub of ["systemd-stub x", "other-stub 257.9"])
    assert.throws(() => measureUki(uki([], stub)), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "image.sdmagic",
    });
  assert.throws(() => measureUki(makePe({ sections: [[".linux", kernel]] })), {
    part: "image.sdmagic",
  });
  for (const name of [".profile", ".dtbauto", ".hwids", ".efifw"])
    assert.throws(() => measureUki(uki([[name, Buffer.from("x")]])), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: `image${name}`,
    });
});

test("an image without a kernel, or with two of one section, is no unified kernel image", () => {
  const unsupported = { code: "ERR_EVIDENCE_UNSUPPORTED" };
  assert.throws(() => measureUki(kernel), unsupported);
  assert.throws(() => measureUki(uki([[".linux", kernel]])), unsupported);
  assert.throws(
    () => measureUki(makePe({ sections: [[".linux", Buffer.from("no PE image")]] })),
    format,
  );
});

const launch: SnpLaunch = {
  ovmf: makeOvmf(),
  vcpus: 2,
  vmm: "qemu",
  cpuSignature: 0x80_0f12,
  guestFeatures: 1,
};
const direct = { kernel: Buffer.from("k"), initrd: Buffer.from("i"), commandLine: "quiet" };

function measured(changes: Partial<SnpLaunch> = {}): string {
  return measureSnpLaunch({ ...launch, ...changes }).toString("hex");
}

test("everything that is launched changes the digest", () => {
  const all = [
    measured(),
    measured({ vcpus: 1 }),
    measured({ vmm: "ec2" }),
    measured({ cpuSignature: 0x83_0f10 }),
    measured({ guestFeatures: 0x21 }),
    measured({ kernel: direct }),
    measured({ kernel: { ...direct, kernel: Buffer.from("K") } }),
    measured({ kernel: { ...direct, initrd: Buffer.from("I") } }),
    measured({ kernel: { ...direct, commandLine: "debug" } }),
    measured({ ovmf: makeOvmf({ change: (image) => image.writeUInt8(1, 0) }) }),
    measured({ ovmf: makeOvmf({ size: 8192 }) }),
  ];
  assert.equal(new Set(all).size, all.length);
  assert.equal(measured({ vmm: "ec2" }), measured({ vmm: "ec2", cpuSignature: 0 }));
});

test("processor models have the signature that CPUID shows", () => {
  assert.deepEqual(
    Object.values(CPU_SIGNATURES).map((value) => value.toString(16)),
    ["800f12", "830f10", "a00f11", "a10f10", "b00f21"],
  );
});

test("an image that measures no kernel cannot be asked to", () => {
  for (const hashTable of [undefined, [0, 0] as const])
    assert.throws(() => measured({ ovmf: makeOvmf({ hashTable }), kernel: direct }), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "ovmf.hashTable",
    });
  measured({ ovmf: makeOvmf({ hashTable: undefined }) });
  assert.throws(() => measured({ ovmf: makeOvmf({ regions: [[0, 4096, 9]] }) }), {
    code: "ERR_EVIDENCE_UNSUPPORTED",
    found: 9,
  });
  for (const vcpus of [0, 1.5, 1025]) assert.throws(() => measured({ vcpus }), RangeError);
  for (const ovmf of [Buffer.alloc(0), makeOvmf({ size: 5000 })])
    assert.throws(() => measured({ ovmf }), {
      ...format,
      message: `OVMF: not whole pages: found ${ovmf.length}`,
    });
});

const reset: readonly [string, Buffer] = ["de71f7007e1acb4f890e68c77e2fb44e", Buffer.alloc(4)];
const metadata: readonly [string, Buffer] = [
  "666588dc4a989847a75e5585a7bf67cc",
  Buffer.from([0, 15, 0, 0]),
];

test("firmware without the table, or with an impossible one, is refused", () => {
  assert.equal(parseOvmf(makeOvmf({ entries: [metadata, reset] })).hashTable, undefined);
  const meta = "666588dc4a989847a75e5585a7bf67cc";
  const table = 4096 - 32 - 18;
  const wrong: readonly (readonly [OvmfParts, string])[] = [
    [{ entries: [metadata] }, "no SEV-SNP metadata"],
    [{ entries: [reset] }, "no SEV-SNP metadata"],
    [
      { entries: [metadata, ["de71f7007e1acb4f890e68c77e2fb44e", Buffer.alloc(5)]] },
      "no SEV-SNP metadata",
    ],
    [{ entries: [[meta, Buffer.from([0, 15, 0, 0, 0])], reset] }, "no SEV-SNP metadata"],
    [{ entries: [metadata, reset, reset] }, "entry twice"],
    [{ entries: [[meta, Buffer.alloc(4, 0xff)], reset] }, "metadata is cut off"],
    [{ entries: [[meta, Buffer.from([0, 1, 0, 0])], reset] }, "no ASEV header"],
    [{ change: (image) => image.writeUInt8(0, 4096 - 32 - 1) }, "no table"],
    [{ change: (image) => image.writeUInt16LE(17, table) }, "table is cut off"],
    [{ change: (image) => image.writeUInt16LE(0xffff, table) }, "table is cut off"],
    [{ change: (image) => image.writeUInt16LE(20, table) }, "entry is cut off"],
    [{ change: (image) => image.writeUInt16LE(0, table - 18) }, "impossible entry"],
    [
      {
        entries: [["00".repeat(16), Buffer.alloc(60)], metadata, reset],
        change: (image) =>
          void image.fill(1, table - 18, table - 16).fill(0, table - 17, table - 16),
      },
      "impossible entry",
    ],
    [{ change: (image) => image.writeUInt16LE(0xffff, table - 18) }, "impossible entry"],
    [{ change: (image) => image.writeUInt32LE(65, 256 + 12) }, "too many regions"],
  ];
  for (const [parts, problem] of wrong)
    assert.throws(
      () => parseOvmf(makeOvmf(parts)),
      { ...format, message: `OVMF: ${problem}` },
      problem,
    );
  const short = Buffer.concat([
    Buffer.from("de82b596b21ff745baeaa366c55a082d", "hex"),
    Buffer.alloc(32),
  ]);
  assert.throws(() => parseOvmf(short), { ...format, message: "OVMF: no table" });
  assert.throws(() => parseOvmf(Buffer.alloc(40)), { ...format, message: "OVMF: no table" });
});

test("changed images give a digest or a coded error", () => {
  const images = [uki(), makeOvmf()] as const;
  fc.assert(
    fc.property(
      fc.nat(1),
      fc.nat(4095),
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      (which, at, bytes) => {
        const changed = Buffer.from(images[which === 0 ? 0 : 1]);
        changed.set(
          bytes.subarray(0, Math.max(0, changed.length - at)),
          Math.min(at, changed.length - bytes.length),
        );
        try {
          if (which === 0) measureUki(changed);
          else measured({ ovmf: changed });
        } catch (error) {
          assert.ok(error instanceof EvidenceError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("launch digests of another implementation", { skip: WITHOUT_VECTORS }, () => {
  const vectors: readonly {
    ovmf: string;
    vcpus: number;
    features: number;
    kernel: boolean;
    append: string | null;
    vmm: "qemu" | "ec2";
    digest: string;
  }[] = JSON.parse(attestationVector("snp-measure/vectors.json").toString());
  assert.equal(vectors.length, 9);
  for (const { ovmf, vcpus, features, kernel: isDirect, append, vmm, digest } of vectors) {
    const nothing = new Uint8Array(0);
    const booted = isDirect
      ? { kernel: { kernel: nothing, initrd: nothing, commandLine: append ?? "" } }
      : {};
    const options = {
      ovmf: attestationVector(`snp-measure/${ovmf}`),
      vcpus,
      vmm,
      cpuSignature: CPU_SIGNATURES["EPYC"] ?? 0,
      guestFeatures: features,
    };
    assert.equal(measureSnpLaunch({ ...options, ...booted }).toString("hex"), digest);
  }
});
