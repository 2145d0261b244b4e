import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  checkPolicy,
  checkReplay,
  type Claims,
  EVIDENCE_AUTHORITY,
  EvidenceError,
  explainDifference,
  logClaims,
  measureUki,
  parseEventLog,
  parsePolicy,
} from "@redoubt/evidence";

// Boots images in QEMU with a TPM of swtpm and firmware of OVMF, in software emulation: about a minute each. The kernel is
// REDOUBT_KERNEL, or the newest in /boot.
const STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const [newest = ""] = globSync("/boot/vmlinuz-*").toSorted().toReversed();
const KERNEL = process.env["REDOUBT_KERNEL"] ?? newest;
const NEEDED = [
  "/usr/bin/qemu-system-x86_64",
  "/usr/bin/swtpm",
  "/usr/share/OVMF/OVMF_CODE_4M.fd",
  "/usr/bin/busybox",
  "/usr/bin/cpio",
  "/usr/bin/objcopy",
  STUB,
];
const missing = [...NEEDED, KERNEL].filter(
  (file) => !existsSync(file) && !existsSync(file.replace("/usr/bin/", "/bin/")),
);
const SKIP = missing.length === 0 ? false : `needs ${missing.join(", ")}`;
const BOOT_TIMEOUT_MS = 280_000;
const PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11];

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc p /proc
/bin/busybox mount -t sysfs s /sys
/bin/busybox mount -t securityfs s /sys/kernel/security
for i in ${PCRS.join(" ")}; do echo "PCR=$i=$(/bin/busybox cat /sys/class/tpm/tpm0/pcr-sha256/$i)"; done
echo LOGBEGIN; /bin/busybox base64 /sys/kernel/security/tpm0/binary_bios_measurements; echo LOGEND
/bin/busybox poweroff -f
`;

function makeImage(folder: string, commandLine: string): string {
  const root = join(folder, "root");
  for (const name of ["bin", "proc", "sys", "dev"])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync(
    existsSync("/usr/bin/busybox") ? "/usr/bin/busybox" : "/bin/busybox",
    join(root, "bin", "busybox"),
  );
  writeFileSync(join(root, "init"), INIT, { mode: 0o755 });
  const initrd = execFileSync(
    "sh",
    ["-c", "find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc --quiet | gzip -n"],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  const parts = { osrel: "ID=test\n", cmdline: commandLine, initrd };
  for (const [name, content] of Object.entries(parts)) writeFileSync(join(folder, name), content);
  const image = join(folder, `${commandLine.length}.efi`);
  const sections = [
    ["osrel", "0x20000"],
    ["cmdline", "0x30000"],
    ["linux", "0x2000000"],
    ["initrd", "0x4000000"],
  ] as const;
  const options = sections.flatMap(([name, address]) => [
    "--add-section",
    `.${name}=${name === "linux" ? KERNEL : join(folder, name)}`,
    "--change-section-vma",
    `.${name}=${address}`,
  ]);
  execFileSync("objcopy", [...options, STUB, image]);
  return image;
}

interface Boot {
  readonly pcrs: ReadonlyMap<number, Buffer>;
  readonly log: Buffer;
}

/** Starts an image and reads what its TPM holds from the serial line. */
async function boot(folder: string, image: string): Promise<Boot> {
  const run = mkdtempSync(join(folder, "boot-"));
  for (const name of ["tpm", "esp/EFI/BOOT"]) mkdirSync(join(run, name), { recursive: true });
  copyFileSync(image, join(run, "esp/EFI/BOOT/BOOTX64.EFI"));
  copyFileSync("/usr/share/OVMF/OVMF_VARS_4M.fd", join(run, "vars.fd"));
  const control = join(run, "c");
  const tpm = spawn(
    "swtpm",
    [
      "socket",
      "--tpm2",
      "--tpmstate",
      `dir=${join(run, "tpm")}`,
      "--ctrl",
      `type=unixio,path=${control}`,
      "--terminate",
    ],
    { stdio: "ignore" },
  );
  try {
    while (!existsSync(control)) await pause(50);
    const machine = [
      "-machine",
      "q35",
      "-accel",
      "tcg,thread=multi",
      "-cpu",
      "max",
      "-m",
      "1024",
      "-smp",
      "2",
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-no-reboot",
    ];
    const firmware = [
      "-drive",
      "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
      "-drive",
      `if=pflash,format=raw,unit=1,file=${join(run, "vars.fd")}`,
    ];
    const chip = [
      "-chardev",
      `socket,id=c,path=${control}`,
      "-tpmdev",
      "emulator,id=t,chardev=c",
      "-device",
      "tpm-tis,tpmdev=t",
    ];
    const disk = [
      "-drive",
      `format=raw,file=fat:rw:${join(run, "esp")},if=none,id=esp`,
      "-device",
      "virtio-blk-pci,drive=esp,bootindex=0",
    ];
    const serial = join(run, "serial");
    execFileSync(
      "qemu-system-x86_64",
      [...machine, "-serial", `file:${serial}`, ...firmware, ...chip, ...disk],
      { timeout: BOOT_TIMEOUT_MS, stdio: "ignore" },
    );
    return parseSerial(readFileSync(serial, "latin1").replaceAll("\r", ""));
  } finally {
    tpm.kill();
  }
}

function parseSerial(text: string): Boot {
  const pcrs = new Map(
    [...text.matchAll(/^PCR=(\d+)=([0-9A-F]{64})$/gm)].map(([, index, value = ""]) => [
      Number(index),
      Buffer.from(value, "hex"),
    ]),
  );
  const [, log = ""] = /LOGBEGIN\n(.*?)LOGEND/s.exec(text) ?? [];
  assert.equal(pcrs.size, PCRS.length, text.slice(-500));
  return { pcrs, log: Buffer.from(log, "base64") };
}

function claimsOf({ pcrs, log }: Boot): Claims {
  const values = Object.fromEntries(
    [...pcrs].map(([index, value]) => [String(index), value.toString("hex")]),
  );
  return {
    pcrs: values,
    "event-log": logClaims(checkReplay(parseEventLog(log, "tcg2"), pcrs, "sha256")),
  };
}

test(
  "THREAT-13: PCR 4 and 11 of a real boot are those computed beforehand; an altered image is refused by name",
  { skip: SKIP, timeout: 590_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-boot-"));
    try {
      const [good, altered] = [
        "console=ttyS0 quiet panic=-1",
        "console=ttyS0 quiet panic=-1 debug",
      ].map((line) => makeImage(folder, line));
      assert.ok(good !== undefined && altered !== undefined);
      const { pcr4, pcr11, applications } = measureUki(readFileSync(good));
      const first = await boot(folder, good);
      assert.deepEqual(first.pcrs.get(4), pcr4);
      assert.deepEqual(first.pcrs.get(11), pcr11);
      const claims = claimsOf(first);
      assert.equal(Object(claims["event-log"])["exit-boot-services"], true);
      assert.deepEqual(
        Object(claims["event-log"])["boot-applications"],
        applications.map((digest) => digest.toString("hex")),
      );
      const references = new Map([["signer/pcr11", [pcr11.toString("hex")]]]);
      const policy = parsePolicy(
        JSON.stringify({
          version: "1.1.0",
          anyOf: [
            {
              authority: EVIDENCE_AUTHORITY,
              allOf: [{ claim: "pcrs.11", reference: "signer/pcr11" }],
            },
          ],
        }),
        references,
      );
      const now = Date.UTC(2026, 5, 1);
      checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims }], { now });
      const second = await boot(folder, altered);
      assert.throws(
        () =>
          checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims: claimsOf(second) }], {
            now,
          }),
        (error) => error instanceof EvidenceError && error.part === "pcrs.11",
      );
      const differences = explainDifference(
        parseEventLog(first.log, "tcg2"),
        parseEventLog(second.log, "tcg2"),
        "sha256",
      );
      assert.ok(differences.some(({ register }) => register === 11));
      assert.ok(
        differences.every(({ register }) => [4, 9, 11, 12].includes(register)),
        JSON.stringify(differences),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
