import { type Command, InvalidArgumentError } from "commander";
import type { SnpVmm } from "@redoubt/evidence";
import type { RimBuildOptions, RimCaptureOptions, RimSignOptions } from "../attest/rim.ts";
import type { KeyOptions } from "../attest/key-attestation.ts";
import type { ReferenceOptions } from "../attest/references.ts";
import type { AttestVerifyOptions } from "../attest/verify-evidence.ts";
import type { Run } from "../command.ts";
import { collect, wholeNumber } from "./options.ts";

const VERIFY_HELP = `
Everything is decided offline, up to root certificates that are built in. A key that signs tokens is named by its kid:
then its machine is verified as of when it last got a lease, by what the broker holds it to or by --policy. Of another's
system, name everything yourself.

Examples:
  redoubt attest verify evidence.json --policy production.json --expect 9f2c… \\
    --references signer.json --release-key anna.pem --release-key ben.pem
  redoubt attest verify report.bin --chain vcek.der --chain ask-ark.pem --policy p.json --any-data
  redoubt attest verify nitro.cose --policy p.json --any-data --at 2024-03-01T12:00:00Z
  redoubt attest verify 5V1n… --policy production.json
  redoubt attest verify 5V1n… --document 5V1n….json --realm consumer --log example.test/broker+1a2b… \\
    --writer example.test/broker/writer+3c4d… --policy p.json --release-key anna.pem --release-key ben.pem

Exit codes: 0 accepted, 3 refused: not genuine, or not what the policy asks for, 1 could not be decided.`;

const SHOW_HELP = `
Examples:
  redoubt attest show evidence.json
  redoubt attest show report.bin --json
  redoubt attest show 5V1n…

Exit codes: 0 shown, 3 the file is no evidence.`;

const LINT_HELP = `
Each way through a production policy must pin a measurement, refuse debugging and simulated hardware, and let Milan pass
for a limited time only.

Examples:
  redoubt attest policy lint production.json
  redoubt attest policy lint production.json --references signer.json --release-key anna.pem --release-key ben.pem

Exit codes: 0 fit for production, 3 it is not, 1 could not be decided.`;

const BUILD_HELP = `
Examples:
  redoubt attest rim build signer.efi --name signer --version 7 --out signer.json
  redoubt attest rim build --ovmf OVMF.amdsev.fd --vcpus 1,2,4 --kernel vmlinuz --initrd initrd --cmdline "ro" \\
    --name signer --version 7 --out signer.json

Exit codes: 0 written, 1 could not be done.`;

const CAPTURE_HELP = `
Examples:
  redoubt attest rim capture /sys/kernel/security/tpm0/binary_bios_measurements \\
    --name firmware@2-1536 --version 1 --out firmware.json

Exit codes: 0 written, 1 could not be done.`;

const SIGN_HELP = `
Examples:
  redoubt attest rim sign signer.json --key anna.key

A release key is made by: openssl genpkey -algorithm ed25519 -out anna.key
and its public key by:    openssl pkey -in anna.key -pubout -out anna.pem

Exit codes: 0 signed, 1 could not be done.`;

const EXPLAIN_HELP = `
Examples:
  redoubt attest rim explain before.bin after.bin

Exit codes: 0 both measured the same, 2 they differ, 1 could not be compared.`;

function withReferences(command: Command): Command {
  return command
    .option("--references <file>", "signed reference values; repeatable", collect)
    .option("--release-key <pem>", "public key of somebody who releases; repeatable", collect)
    .option(
      "--threshold <n>",
      "how many release keys must have signed (default 2)",
      wholeNumber(1, 16, "Expected 1 to 16."),
    )
    .option("--floor <name=version>", "lowest version of reference values; repeatable", collect);
}

export function register(cli: Command, run: Run): void {
  const attest = cli
    .command("attest")
    .description("read and verify what machines say about themselves")
    .addHelpText("after", VERIFY_HELP);
  withReferences(attest.command("verify"))
    .description("verify evidence offline and hold it to a policy")
    .argument(
      "<file>",
      "an envelope, an SNP report, a TDX quote, a Nitro document, or a signing key's kid",
    )
    .option("--policy <file>", "what the machine must prove (of this system's keys: the broker's)")
    .option(
      "--expect <hex>",
      "the bytes that the machine was to bind: a nonce, or a digest over nonce and key",
    )
    .option("--any-data", "take any bound data, and so old evidence, too")
    .option(
      "--chain <file>",
      "certificates of a bare SNP report, PEM or DER; repeatable, in order",
      collect,
    )
    .option("--collateral <file>", "what Intel says about a bare TDX quote's platform, JSON")
    .option(
      "--min-evaluation <n>",
      "lowest evaluation number of Intel's collateral",
      wholeNumber(0, 1_000_000, "Expected a number."),
    )
    .option("--at <time>", "verify as of then, for archived evidence (default: now)")
    .option(
      "--pcrs <list>",
      "PCRs that a quote must be over, exactly (default 0,1,2,3,4,5,6,7,9,11)",
    )
    .option(
      "--enrolled <platform:name>",
      "an attestation key that was enrolled, by its TPM name; repeatable",
      collect,
    )
    .option("--document <file>", "of a kid: what is published beside the key of another's system")
    .option("--realm <name>", "with --document: the realm that the key's record says")
    .option("--log <vkey>", "with --document: the key of the broker's log")
    .option("--writer <vkey>", "with --document: the broker's own key")
    .addHelpText("after", VERIFY_HELP)
    .action(
      run(async (context, name: string, options: AttestVerifyOptions & KeyOptions) => {
        const { isKid } = await import("../attest/key-attestation.ts");
        return isKid(context, name)
          ? (await import("../attest/verify-key.ts")).attestVerifyKey(context, name, options)
          : (await import("../attest/verify-evidence.ts")).attestVerify(context, name, options);
      }),
    );
  attest
    .command("show")
    .description("show what evidence says of itself, unverified")
    .argument(
      "<file>",
      "an envelope, one platform's own bytes (SNP, TDX, HCL, Nitro, an event log), or a signing key's kid",
    )
    .option("--document <file>", "of a kid: what is published beside the key of another's system")
    .addHelpText("after", SHOW_HELP)
    .action(
      run(async (context, name: string, options: Pick<KeyOptions, "document">) => {
        const { isKid } = await import("../attest/key-attestation.ts");
        return isKid(context, name)
          ? (await import("../attest/verify-key.ts")).attestShowKey(context, name, options)
          : (await import("../attest/show-evidence.ts")).attestShow(context, name);
      }),
    );
  const policy = attest
    .command("policy")
    .description("appraisal policies")
    .addHelpText("after", LINT_HELP);
  withReferences(policy.command("lint"))
    .description("refuse a policy that must not guard production")
    .argument("<file>", "the policy")
    .addHelpText("after", LINT_HELP)
    .action(
      run(async (context, file: string, options: ReferenceOptions) =>
        (await import("../attest/lint.ts")).attestLint(context, file, options),
      ),
    );
  registerRim(
    attest
      .command("rim")
      .description("reference values: what good machines measure")
      .addHelpText("after", BUILD_HELP),
    run,
  );
}

function drafted(command: Command, defaultName: string): Command {
  return command
    .requiredOption("--name <name>", `what the values are about, as in ${defaultName}`)
    .requiredOption(
      "--version <n>",
      "grows with each release; a floor keeps older ones out",
      wholeNumber(0, 2 ** 31, "Expected a number."),
    )
    .requiredOption("--out <file>", "where to write the draft")
    .option(
      "--days <n>",
      "how long the values count (default 365)",
      wholeNumber(1, 3650, "Expected a number of days."),
      365,
    );
}

function registerRim(rim: Command, run: Run): void {
  drafted(rim.command("build"), "signer")
    .description(
      "compute PCR 4 and 11 of a unified kernel image, and SEV-SNP launch digests, without starting them",
    )
    .argument("[image]", "the unified kernel image")
    .option(
      "--phase <text>",
      "what systemd measures into PCR 11 later, in order; repeatable",
      collect,
    )
    .option("--ovmf <file>", "firmware of a SEV-SNP guest, for its launch digest")
    .option("--vcpus <list>", "numbers of processors, as 1,2,4 (default 1)")
    .option("--cpu <model>", "processor model that QEMU gives the guest", "EPYC-Genoa")
    .option("--vmm <name>", "who launches: qemu or ec2", chooseVmm, "qemu")
    .option(
      "--features <n>",
      "SEV_FEATURES of the guest",
      wholeNumber(0, 2 ** 31, "Expected a number."),
      1,
    )
    .option("--kernel <file>", "kernel that QEMU boots directly with kernel-hashes=on")
    .option("--initrd <file>", "its initrd")
    .option("--cmdline <text>", "its command line")
    .addHelpText("after", BUILD_HELP)
    .action(
      run(async (context, image: string | undefined, options: RimBuildOptions) =>
        (await import("../attest/rim.ts")).rimBuild(context, image, options),
      ),
    );
  drafted(rim.command("capture"), "firmware@2-1536")
    .description("take PCRs of a machine that is known to be good")
    .argument("<file>", "a TPM's event log, or an envelope with a quote")
    .option("--pcrs <list>", "which PCRs", "0,2,3,7")
    .addHelpText("after", CAPTURE_HELP)
    .action(
      run(async (context, file: string, options: RimCaptureOptions) =>
        (await import("../attest/rim.ts")).rimCapture(context, file, options),
      ),
    );
  rim
    .command("sign")
    .description("add the signature of a release key to reference values")
    .argument("<file>", "the draft, or what others have signed")
    .requiredOption("--key <pem>", "private key, Ed25519")
    .addHelpText("after", SIGN_HELP)
    .action(
      run(async (context, file: string, options: RimSignOptions) =>
        (await import("../attest/rim.ts")).rimSign(context, file, options),
      ),
    );
  rim
    .command("explain")
    .description("say in words what differs between two boots")
    .argument("<before>", "an event log, or an envelope with one")
    .argument("<after>", "the other one")
    .addHelpText("after", EXPLAIN_HELP)
    .action(
      run(async (context, before: string, after: string) =>
        (await import("../attest/explain.ts")).rimExplain(context, before, after),
      ),
    );
}

function chooseVmm(text: string): SnpVmm {
  if (text === "qemu" || text === "ec2") return text;
  throw new InvalidArgumentError("Expected qemu or ec2.");
}
