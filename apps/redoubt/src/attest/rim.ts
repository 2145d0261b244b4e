import { writeDurable } from "@redoubt/base";
import {
  CPU_SIGNATURES,
  encodeReferenceValues,
  EvidenceError,
  measureSnpLaunch,
  measureUki,
  replay,
  signReferenceValues,
  type SnpVmm,
} from "@redoubt/evidence";
import { type CommandContext, EXIT, fileArgument, optionError } from "../command.ts";
import { readInput } from "../input.ts";
import { readRecognised } from "./evidence-file.ts";
import { readPrivateKey } from "./release-key.ts";

const MAX_IMAGE_BYTES = 1_073_741_824;
const MAX_FILE_BYTES = 1_048_576;
/** Nothing of it is secret. */
const READABLE = 0o644;
const DAY_MS = 86_400_000;

interface Draft {
  readonly name: string;
  readonly version: number;
  readonly days: number;
  readonly out: string;
}

export interface RimBuildOptions extends Draft {
  readonly phase?: readonly string[];
  readonly ovmf?: string;
  readonly vcpus?: string;
  readonly cpu: string;
  readonly vmm: SnpVmm;
  readonly features: number;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
}

type Sets = ReadonlyMap<string, readonly string[]>;

/** Computes what an image will measure, and writes it as a draft that release keys sign. */
export async function rimBuild(
  context: CommandContext,
  image: string | undefined,
  options: RimBuildOptions,
): Promise<number> {
  const sets = measured(context, image, options);
  if (sets.size === 0) throw optionError("Name an image, or --ovmf for a launch digest, or both");
  return writeDraft(context, options, sets);
}

/** An image that cannot be read is the caller's own, so it is named. */
function measured(
  context: CommandContext,
  image: string | undefined,
  options: RimBuildOptions,
): Sets {
  try {
    return new Map([...ukiSets(context, image, options), ...launchSets(context, options)]);
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    throw optionError(`${options.name}: ${error.message}`);
  }
}

function ukiSets(
  context: CommandContext,
  image: string | undefined,
  { name, phase = [] }: RimBuildOptions,
): Sets {
  if (image === undefined) return new Map();
  const { pcr4, pcr11, applications } = measureUki(
    readInput(fileArgument(context, image), MAX_IMAGE_BYTES),
    phase,
  );
  return new Map([
    [`${name}/pcr4`, [pcr4.toString("hex")]],
    [`${name}/pcr11`, [pcr11.toString("hex")]],
    [`${name}/boot-applications`, applications.map((digest) => digest.toString("hex"))],
  ]);
}

function launchSets(context: CommandContext, options: RimBuildOptions): Sets {
  const { name, ovmf, vcpus = "1", cpu, vmm, features: guestFeatures } = options;
  if (ovmf === undefined) return new Map();
  const cpuSignature = CPU_SIGNATURES[cpu];
  if (cpuSignature === undefined)
    throw optionError(`--cpu is one of ${Object.keys(CPU_SIGNATURES).join(", ")}`);
  if (!/^\d+(?:,\d+)*$/.test(vcpus)) throw optionError("--vcpus is a number, or a list like 1,2,4");
  const firmware = readInput(fileArgument(context, ovmf), MAX_IMAGE_BYTES);
  const kernel = directKernel(context, options);
  const digests = vcpus.split(",").map((count) =>
    measureSnpLaunch({
      ovmf: firmware,
      vcpus: Number(count),
      vmm,
      cpuSignature,
      guestFeatures,
      ...(kernel === undefined ? {} : { kernel }),
    }).toString("hex"),
  );
  return new Map([[`${name}/snp-launch`, digests]]);
}

function directKernel(context: CommandContext, { kernel, initrd, cmdline = "" }: RimBuildOptions) {
  if (kernel === undefined) {
    if (initrd !== undefined) throw optionError("--initrd goes with --kernel");
    return undefined;
  }
  const read = (name: string): Buffer => readInput(fileArgument(context, name), MAX_IMAGE_BYTES);
  return {
    kernel: read(kernel),
    initrd: initrd === undefined ? Buffer.alloc(0) : read(initrd),
    commandLine: cmdline,
  };
}

export interface RimCaptureOptions extends Draft {
  readonly pcrs: string;
}

/**
 * Takes PCRs as they are on a machine that is known to be good: firmware measures what its vendor does not publish, and
 * what differs with the shape of a VM.
 */
export async function rimCapture(
  context: CommandContext,
  file: string,
  options: RimCaptureOptions,
): Promise<number> {
  const values = captured(context, file);
  const indices = options.pcrs.split(",");
  const sets = new Map(
    indices.map((index) => {
      const value = values.get(Number(index));
      if (!/^\d+$/.test(index) || value === undefined)
        throw optionError(`PCR ${index} is not in ${file}`);
      return [`${options.name}/pcr${index}`, [Buffer.from(value).toString("hex")]] as const;
    }),
  );
  context.terminal.notice(
    "Captured as it is: capture on a machine whose firmware you trust, and twice.",
  );
  return writeDraft(context, options, sets);
}

function captured(context: CommandContext, file: string): ReadonlyMap<number, Uint8Array> {
  const recognised = readRecognised(context, file);
  if (recognised.kind === "event-log" && recognised.log.kind === "tcg2")
    return replay(recognised.log, "sha256");
  if (recognised.kind === "evidence") {
    const { evidence } = recognised;
    if ("tpm" in evidence) return evidence.tpm.pcrs;
    if ("vtpm" in evidence) return evidence.vtpm.pcrs;
  }
  throw optionError(`${file} has no PCRs: name a TPM's event log, or an envelope with a quote`);
}

export interface RimSignOptions {
  readonly key: string;
}

/** Adds one release key's signature to a file of reference values. */
export async function rimSign(
  context: CommandContext,
  file: string,
  { key }: RimSignOptions,
): Promise<number> {
  const path = fileArgument(context, file);
  const signed = signReferenceValues(readInput(path, MAX_FILE_BYTES), readPrivateKey(context, key));
  writeDurable(path, signed, READABLE);
  const { length } = JSON.parse(signed).signatures;
  context.terminal.result({
    json: { file, signatures: length },
    text: `${file}: ${length} signed`,
  });
  return EXIT.ok;
}

function writeDraft(
  context: CommandContext,
  { name, version, days, out }: Draft,
  sets: Sets,
): number {
  const notAfter = Date.now() + days * DAY_MS;
  const text = encodeReferenceValues({ name, version, notAfter, sets });
  writeDurable(fileArgument(context, out), text, READABLE);
  const rows = [...sets].map(([set, values]) => `${set}  ${values.join(" ")}`);
  context.terminal.result({
    json: { file: out, name, version, values: Object.fromEntries(sets) },
    text: [
      ...rows,
      `${out}: not signed yet; two release keys sign it: redoubt attest rim sign ${out} --key <pem>`,
    ].join("\n"),
  });
  return EXIT.ok;
}
