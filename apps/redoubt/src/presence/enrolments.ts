import { MemberReader, REALM, SHA256, UUID } from "@redoubt/base";
import {
  CREDENTIAL_CLASSES,
  CREDENTIAL_ID,
  enrolmentKey,
  MAX_COSE_BYTES,
  MAX_CREDENTIAL_TEXT,
  RP_ID,
  type Enrolment,
  type Enrolments,
} from "@redoubt/presence";
import { parseJsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { instant, table } from "../table.ts";

export const MAX_ENROLMENT_BYTES = 8 * 1024 * 1024;
const MAX_ENROLMENTS = 10_000;
const MAX_SECONDS = 2 ** 40;

/** Lists this system's enrolments; with `--json` as the document that `presence verify --enrolments` takes. */
export function listEnrolments(context: CommandContext): Promise<number> {
  return withOperator(context, async (operator) => {
    const enrolments = [...(await operator.readRegistry()).enrolments.values()];
    const rows = enrolments.map(
      ({ realm, person, credential, class: found, from, removedAt }) =>
        [
          realm,
          person,
          credential,
          found,
          instant(from),
          removedAt === undefined ? "" : instant(removedAt),
        ] as const,
    );
    context.terminal.result({
      json: { v: 1, enrolments },
      text:
        rows.length === 0
          ? "No passkey is enrolled for approvals."
          : table([["realm", "person", "credential", "class", "from", "removed"], ...rows]),
    });
    return EXIT.ok;
  });
}

/**
 * Reads enrolments that somebody took from a registry. Whoever uses them trusts whoever gave them the file.
 *
 * @throws ServiceError `ERR_REQUEST_MEMBER`; JsonError
 */
export function parseEnrolments(bytes: Uint8Array): Enrolments {
  const reader = new MemberReader(
    parseJsonObject(bytes, { maxBytes: MAX_ENROLMENT_BYTES, maxDepth: 3 }),
    "enrolments",
  );
  reader.integer("v", 1, 1);
  const all = reader.objects("enrolments", MAX_ENROLMENTS).map((one) => readEnrolment(one));
  reader.done();
  return new Map(all.map((one) => [enrolmentKey(one.realm, one.credential), one]));
}

function readEnrolment(reader: MemberReader): Enrolment {
  const enrolment = {
    realm: reader.string("realm", 32, REALM),
    person: reader.string("person", 43, SHA256),
    credential: reader.string("credential", MAX_CREDENTIAL_TEXT, CREDENTIAL_ID),
    publicKey: reader.string("publicKey", Math.ceil((MAX_COSE_BYTES * 4) / 3), CREDENTIAL_ID),
    class: reader.oneOf("class", CREDENTIAL_CLASSES),
    rpId: reader.string("rpId", 253, RP_ID),
    from: reader.integer("from", 0, MAX_SECONDS),
    ...(reader.has("removedAt") && { removedAt: reader.integer("removedAt", 0, MAX_SECONDS) }),
    ...(reader.has("aaguid") && { aaguid: reader.string("aaguid", 36, UUID) }),
  };
  reader.done();
  return enrolment;
}
