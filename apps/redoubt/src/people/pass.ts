import { loginUrl } from "../layout.ts";
import type { Realm } from "../layout.ts";
import type { Settings } from "../settings.ts";
import { instant } from "../table.ts";
import type { TenantName } from "../tenancy/names.ts";

/** Where a pass is used. It stands in the fragment, which no server and no log of one ever sees. */
export function registrationUrl(
  { realms }: Pick<Settings, "realms">,
  { realm, tenant }: TenantName<Realm>,
  pass: string,
): string {
  return `${loginUrl(realms[realm].tokenEndpoint, tenant)}/register#${pass}`;
}

export function passLines({
  register,
  pass,
  expires,
}: {
  readonly register: string;
  readonly pass: string;
  readonly expires: number;
}): readonly string[] {
  return [
    `register: ${register}`,
    `pass:     ${pass}`,
    `It works once, until ${instant(expires)}, and is shown this once. Give it to nobody but this person.`,
  ];
}
