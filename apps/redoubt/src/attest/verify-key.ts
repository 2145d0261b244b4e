import { ServiceError } from "@redoubt/base";
import { EvidenceError } from "@redoubt/evidence";
import { type Lease } from "@redoubt/lease";
import { unverifiedAttestation, verifyAttestation } from "@redoubt/lease/attestation";
import { type CommandContext, EXIT } from "../command.ts";
import { instant, table } from "../table.ts";
import { claimRows } from "./claim-rows.ts";
import { type KeyOptions, readKeyDocument, readKeyQuestion } from "./key-attestation.ts";
import { refusalText, type Refused } from "./verify-evidence.ts";

/** Whether a key is used by a machine that satisfies a policy, as of when its evidence was logged. */
export async function attestVerifyKey(
  context: CommandContext,
  kid: string,
  options: KeyOptions,
): Promise<number> {
  const { document, realm, trust } = await readKeyQuestion(context, kid, options);
  try {
    const { lease, index, claims } = verifyAttestation(document, { kid, realm }, trust);
    const facts = { kid, realm, ...factsOf(lease), index };
    context.terminal.result({
      json: { valid: true, ...facts, claims },
      text: [
        `accepted: key ${kid} is used by a machine that satisfies the policy`,
        table([...rowsOf(lease, index), ...claimRows(claims)]),
      ].join("\n\n"),
    });
    return EXIT.ok;
  } catch (error) {
    const refused = refusalOf(error);
    context.terminal.result({ json: { kid, realm, ...refused }, text: refusalText(refused) });
    return EXIT.refused;
  }
}

function refusalOf(error: unknown): Refused {
  if (error instanceof EvidenceError) {
    const { code, message, part, refusals } = error;
    return { valid: false, code, message, part, refusals };
  }
  if (!(error instanceof ServiceError) || !/^ERR_(?:ATTESTATION|LEASE)_/.test(error.code))
    throw error;
  const { code, message } = error;
  return { valid: false, code, message, refusals: [] };
}

/** What stands beside a key, as it says itself. */
export async function attestShowKey(
  context: CommandContext,
  kid: string,
  options: Pick<KeyOptions, "document">,
): Promise<number> {
  const bytes = await readKeyDocument(context, kid, options.document);
  const { lease, binding, ear, policy } = unverifiedAttestation(bytes);
  context.terminal.notice("Nothing of this is verified: redoubt attest verify does that.");
  context.terminal.result({
    json: { unverified: { kid, lease, binding, ear, policy } },
    text: [table(claimRows({ lease, binding, ear })), "The broker's policy:", policy].join("\n\n"),
  });
  return EXIT.ok;
}

function factsOf({ issued, expires, platform, hardware, signer, minVersion }: Lease) {
  return { issued, expires, platform, hardware: hardware ? platform : "none", signer, minVersion };
}

function rowsOf({ issued, signer, hardware, platform }: Lease, index: number) {
  return [
    ["logged", `${instant(issued)}, entry ${index} of the broker's log`],
    ["signer", signer],
    ["hardware", hardware ? platform : "none: software says so, nothing vouches for it"],
  ] as const;
}
