import {
  MAX_ENVELOPE_BYTES,
  openEnvelope,
  PresenceError,
  unverifiedEnvelope,
  type ActingService,
  type Approver,
  type Enrolments,
} from "@redoubt/presence";
import { parseVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { EXIT, fileArgument, optionError, type CommandContext } from "../command.ts";
import { readInput } from "../input.ts";
import { withOperator } from "../operator.ts";
import { instant, table } from "../table.ts";
import { MAX_ENROLMENT_BYTES, parseEnrolments } from "./enrolments.ts";

export interface VerifyApprovalOptions {
  /** Verifier keys of those who act on approvals: they say when. */
  readonly service: readonly string[];
  /** A file; left out, this system's registry. */
  readonly enrolments?: string | undefined;
  readonly rpId?: string | undefined;
  readonly origin?: readonly string[] | undefined;
}

interface Trust {
  readonly enrolments: Enrolments;
  readonly ceremony: { readonly rpId: string; readonly origins: readonly string[] };
}

/** Verifies what is kept of an approval, by the raw assertions in it. Asks nobody where enrolments are in a file. */
export async function verifyApproval(
  context: CommandContext,
  file: string,
  options: VerifyApprovalOptions,
): Promise<number> {
  const bytes = readInput(fileArgument(context, file), MAX_ENVELOPE_BYTES);
  const services = options.service.map((text) => readService(text));
  const trust = await readTrust(context, options);
  try {
    const { statement, approvers, at, keyId } = openEnvelope(bytes, { ...trust, services });
    context.terminal.result({
      json: {
        valid: true,
        statement: statement.statement,
        code: statement.code,
        approvers,
        at,
        keyId,
      },
      text: [
        `approved: ${personsText(approvers)}, at ${instant(at)} as ${keyId} says`,
        statement.text.join("\n"),
        table(approvers.map((one) => approverRow(one))),
      ].join("\n\n"),
    });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof PresenceError)) throw error;
    const { code, message } = error;
    context.terminal.result({
      json: { valid: false, code, message },
      text: `refused: ${message} (${code})`,
    });
    return EXIT.refused;
  }
}

/** What is kept of an approval, as it says itself. */
export function showApproval(context: CommandContext, file: string): Promise<number> {
  const bytes = readInput(fileArgument(context, file), MAX_ENVELOPE_BYTES);
  const { statement, assertions, at, keyId } = unverifiedEnvelope(bytes);
  const credentials = assertions.map(({ credentialId }) => credentialId);
  context.terminal.notice("Nothing of this is verified: redoubt presence verify does that.");
  context.terminal.result({
    json: {
      unverified: { statement: statement.statement, code: statement.code, credentials, at, keyId },
    },
    text: [
      statement.text.join("\n"),
      table([
        ["code", statement.code],
        ["acted on", instant(at)],
        ["by", keyId],
        ...credentials.map((one) => ["passkey", one] as const),
      ]),
    ].join("\n\n"),
  });
  return Promise.resolve(EXIT.ok);
}

function readTrust(context: CommandContext, options: VerifyApprovalOptions): Promise<Trust> {
  const { enrolments, rpId, origin } = options;
  if (enrolments === undefined) {
    if (rpId !== undefined || origin !== undefined)
      throw optionError("--rp-id and --origin belong to --enrolments: this system's are known");
    return readOwnTrust(context);
  }
  if (rpId === undefined || origin === undefined)
    throw optionError("--enrolments needs --rp-id and --origin: where those approvals are made");
  const bytes = readInput(fileArgument(context, enrolments), MAX_ENROLMENT_BYTES);
  return Promise.resolve({
    enrolments: parseEnrolments(bytes),
    ceremony: { rpId, origins: origin },
  });
}

function readOwnTrust(context: CommandContext): Promise<Trust> {
  return withOperator(context, async (operator, { settings: { rpId, presence } }) => ({
    enrolments: (await operator.readRegistry()).enrolments,
    ceremony: { rpId, origins: presence === undefined ? [] : [presence] },
  }));
}

function readService(text: string): ActingService {
  const key = attemptKey(text);
  if (key?.type !== SIGNATURE_TYPE.ed25519)
    throw optionError("--service must be an Ed25519 verifier key: name+id+key");
  return { keyId: key.name, publicKey: key.publicKey };
}

function attemptKey(text: string) {
  try {
    return parseVerifierKey(text);
  } catch {
    return undefined;
  }
}

function personsText({ length }: readonly Approver[]): string {
  return length === 1 ? "by one person" : `by ${length} persons`;
}

function approverRow({ person, credentialId, class: found, backupEligible }: Approver) {
  const copies = backupEligible ? "its key can be copied" : "its key cannot be copied";
  return ["person", person, `passkey ${credentialId}`, found, copies] as const;
}
