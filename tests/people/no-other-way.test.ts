import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

/** All that a person's way in goes through. */
const ROOMS = ["services/issuer", "services/presence", "packages/presence", "packages/store"];
const SOURCES = ROOMS.map((room) =>
  globSync(`${room}/**/*.{ts,js,sql,json}`).filter(
    (file) => !/node_modules|\.test\.ts$|\/testing\//.test(file),
  ),
);
/** Names of other ways in, in any spelling. */
const OTHER_WAYS =
  /pass[-_ ]?word|passwd|\bbcrypt|argon2|scrypt|pbkdf2|\b[th]?otps?\b|one[-_ ]?time[-_ ]?(?:code|pass)|authenticator[-_ ]?app|\bsms\b|twilio|nodemailer|\bsmtps?\b|send[-_ ]?(?:mail|grid|email)|magic[-_ ]?link|e?mail[-_ ]?(?:link|code|otp)|security[-_ ]?question|\bknowledge[-_ ]?based\b/gi;
/** Text that uses such a word for something else, or says that there is none. */
const ALLOWED: Readonly<Record<string, readonly RegExp[]>> = {
  "packages/presence/src/actions/person-pass.ts": [/Issue a one-time pass, with which/],
  "services/issuer/src/client-auth.ts": [/secret: decodeFormText\(basic\.password\)/],
  "services/issuer/src/login/passkeys/tier.ts": [/`otp` never appear/],
  "services/issuer/src/main.ts": [/It holds a password, and reports of Node on a process/],
  "packages/store/src/people/postgres-engine.ts": [/live sessions, and the password comes first/],
  "services/issuer/src/scim/discovery.ts": [/changePassword: UNSUPPORTED/],
  "services/issuer/src/scim/scim-error.ts": [/quotes no input: bodies hold passwords/],
  "services/issuer/src/scim/users.ts": [
    /A password in it is an attribute like any other that is not kept/,
  ],
  "services/issuer/src/login/pages/messages.ts": [
    /replaces a password/,
    /Nobody here will ever ask you for a password/,
  ],
};

describe("THREAT-18: there is no other way in, to be led to", () => {
  it("no code, dependency or member of a configuration names one", (t) => {
    const found = SOURCES.flat().flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .flatMap((line, at) => (namesAnother(file, line) ? [`${file}:${at + 1}: ${line}`] : [])),
    );
    t.diagnostic(`${SOURCES.flat().length} files looked at`);
    for (const [at, { length }] of SOURCES.entries())
      assert.ok(length > 5, `${ROOMS[at]}: only ${length} files`);
    assert.deepEqual(found, []);
  });

  it("control: each of them would be seen", () => {
    for (const line of [
      "const password = form.get('password')",
      "verifyTotp(secret, otp)",
      "if (isValid(otp)) return;",
      "sendMail(address, link)",
      '"nodemailer": "7.0.0"',
      "people.sms: on",
      "a magic link",
      "mailLink(person)",
      "await argon2.verify()",
    ])
      assert.equal(namesAnother("services/issuer/src/main.ts", line), true, line);
  });
});

function namesAnother(file: string, line: string): boolean {
  const allowed = ALLOWED[file] ?? [];
  const rest = allowed.reduce((text, one) => text.replace(one, ""), line);
  OTHER_WAYS.lastIndex = 0;
  return OTHER_WAYS.test(rest.replaceAll(/([a-z])([A-Z])/g, "$1 $2"));
}
