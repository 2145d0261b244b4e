import assert from "node:assert/strict";
import { test } from "node:test";
import { openStatement } from "@redoubt/presence";
import { ask, PRESENCE } from "@redoubt/wire";
import { MAX_OF_CALLER } from "./ceremonies.ts";
import {
  assertionOf,
  collect,
  LOGIN_ORIGIN,
  ORIGIN,
  passkey,
  show,
  TestPresence,
} from "./testing/presence.ts";

test("a statement is shown, approved, and collected as the browser gave it", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id, url, code } = await show(operator, statement);
  assert.equal(url, `${ORIGIN}/${id}`);
  assert.equal(code, statement.code);
  assert.deepEqual(await collect(operator, id), { state: "open", assertions: [] });
  const answer = await page.get(`/${id}`);
  const text = await answer.text();
  assert.equal(answer.status, 200);
  assert.match(text, /<title>Issue a one-time pass, with which a new person/);
  assert.match(text, new RegExp(`>${code}<`));
  assert.match(text, /Still good for 5 minutes/);
  assert.match(text, /an operator, with a command on the server/);
  const key = passkey();
  const assertion = assertionOf(key, statement);
  const waiting = collect(operator, id, 20_000);
  assert.deepEqual(await page.post(`/${id}/assertion`, assertion), {
    status: 200,
    message: "Approved. Whoever asked checks it now. You can close this page.",
    isOver: true,
  });
  const { state, assertions } = await waiting;
  assert.equal(state, "collected");
  assert.deepEqual(
    assertions.map(({ credentialId, ...rest }) => [
      credentialId,
      ...Object.values(rest).map((bytes) => bytes.toString("base64url")),
    ]),
    [
      [
        key.credentialId,
        assertion.clientDataJSON,
        assertion.authenticatorData,
        assertion.signature,
      ],
    ],
  );
  await ask(operator, PRESENCE.close, { id });
  await assert.rejects(collect(operator, id), { code: "ERR_PRESENCE_UNKNOWN" });
  assert.equal((await page.get(`/${id}`)).status, 404);
  assert.deepEqual(
    page.events.map(({ name }) => name),
    ["statement_shown", "assertion_collected"],
  );
});

test("P8: each line of the statement stands on the page, whole and as text", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  // As long as a line can become: each character spelled in eight.
  const statement = page.statement({
    action: "person.pass",
    subject: {
      person: "p-7",
      userName: "\u{2028}".repeat(255) + "<",
      tenant: "aaaaaaaa-0000-4000-8000-000000000001",
      purpose: "recovery",
      minutes: 60,
    },
  });
  const { id } = await show(operator, statement);
  const text = await (await page.get(`/${id}`)).text();
  const [title = "", ...lines] = statement.text;
  assert.ok(lines.some((line) => line.length > 2000));
  const shown = [...text.matchAll(/<p dir="ltr">([^]*?)<\/p>/g)].map(([, line = ""]) =>
    line.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"'),
  );
  assert.deepEqual(shown, lines);
  assert.match(text, new RegExp(`<h1>${title}</h1>`));
  assert.doesNotMatch(text, / style=|<style|<script>|\son[a-z]+=/);
});

test("THREAT-20: the page takes nothing from elsewhere, is in nobody's frame, and its address goes nowhere", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const { id } = await show(operator, page.statement());
  for (const path of [`/${id}`, "/approve.js", "/approve.css", "/style.css", "/icon.svg", "/x"]) {
    const { headers } = await page.get(path);
    const policy = headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"])
      assert.ok(policy.split("; ").includes(part), `${path} ${part}`);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  }
});

test("THREAT-20: an assertion for anything else than this statement, here, is refused at once", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id } = await show(operator, statement);
  const other = page.statement({}, Buffer.alloc(16, 8));
  const good = () => assertionOf(passkey(), statement);
  for (const [bad, why] of [
    [assertionOf(passkey(), other), /approved something else/],
    [assertionOf(passkey(), statement, {}, LOGIN_ORIGIN), /another address/],
    [assertionOf(passkey("login.test"), statement), /not one that counts/],
    [assertionOf(passkey(), statement, { flags: { UV: false } }), /did not check/],
    [assertionOf(passkey(), statement, { flags: { UP: false } }), /not one that counts/],
    [assertionOf(passkey(), statement, { type: "webauthn.create" }), /not one that counts/],
    [assertionOf(passkey(), statement, { crossOrigin: true }), /not one that counts/],
    [{ ...good(), credentialId: "" }, /not one that counts/],
    [{ ...good(), credentialId: "a/b" }, /not one that counts/],
    [{ ...good(), signature: "=" }, /not one that counts/],
    [{ ...good(), clientDataJSON: "A".repeat(2732) }, /not one that counts/],
    [{ ...good(), authenticatorData: 1 }, /not one that counts/],
    [{ ...good(), userHandle: "AA" }, /not one that counts/],
    [{}, /not one that counts/],
  ] as const) {
    const said = await page.post(`/${id}/assertion`, bad);
    assert.equal(said.status, 400);
    assert.equal(said.isOver, false);
    assert.match(said.message, why);
  }
  assert.deepEqual(await collect(operator, id), { state: "open", assertions: [] });
  assert.equal((await page.post(`/${id}/assertion`, good())).status, 200);
});

test("THREAT-20: an assertion over one statement is none over the next one, however alike", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const first = page.statement();
  const one = await show(operator, first);
  const two = await show(operator, page.statement({}, Buffer.alloc(16, 9)));
  const assertion = assertionOf(passkey(), first);
  assert.equal((await page.post(`/${two.id}/assertion`, assertion)).status, 400);
  assert.equal((await page.post(`/${one.id}/assertion`, assertion)).status, 200);
  const again = await page.post(`/${one.id}/assertion`, assertion);
  assert.deepEqual([again.status, again.isOver], [409, true]);
});

test("THREAT-20: a page of another origin neither approves nor declines, and none does without saying where it is", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id } = await show(operator, statement);
  const assertion = assertionOf(passkey(), statement);
  for (const origin of [LOGIN_ORIGIN, "null", "http://localhost", `${ORIGIN}.evil.test`, "*", ""])
    for (const act of ["assertion", "decline"]) {
      const said = await page.post(`/${id}/${act}`, act === "decline" ? {} : assertion, { origin });
      assert.deepEqual([said.status, said.message], [403, "ERR_HTTP_ORIGIN"], origin);
    }
  const form = { "content-type": "application/x-www-form-urlencoded" };
  assert.equal((await page.post(`/${id}/decline`, {}, form)).status, 415);
  assert.equal((await page.post(`/${id}/decline`, { more: 1 })).status, 400);
  for (const path of [`/${id}/decline`, `/${id}/assertion`])
    assert.equal((await page.get(path)).status, 405);
  assert.equal((await page.get(`/${id}`, { method: "POST" })).status, 405);
  assert.equal((await collect(operator, id)).state, "open");
});

test("THREAT-20: only the caller that had it shown collects or closes it, and hears no more of another's than of none", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  await using issuer = page.connect("issuer-enterprise");
  const { id } = await show(operator, page.statement());
  const unknown = { code: "ERR_PRESENCE_UNKNOWN" };
  for (const asked of [id, "A".repeat(22)]) {
    await assert.rejects(collect(issuer, asked), unknown);
    await assert.rejects(ask(issuer, PRESENCE.close, { id: asked }), unknown);
  }
  assert.equal((await collect(operator, id)).state, "open");
  await assert.rejects(operator.request({ op: "approve", id }), { code: "ERR_PRESENCE_OP" });
});

test("THREAT-20: what could never be approved here is not shown", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  await using consumer = page.connect("issuer-consumer");
  await using enterprise = page.connect("issuer-enterprise");
  const now = page.clock.seconds;
  const good = page.statement();
  for (const [change, code] of [
    [{ origin: LOGIN_ORIGIN }, "ERR_PRESENCE_ACTION"],
    [{ origin: "http://localhost" }, "ERR_PRESENCE_ACTION"],
    [{ rpId: "example.org" }, "ERR_PRESENCE_ACTION"],
    [{ issuedAt: now - 301, expiresAt: now }, "ERR_PRESENCE_TIME"],
    [{ issuedAt: now + 31, expiresAt: now + 60 }, "ERR_PRESENCE_TIME"],
  ] as const)
    await assert.rejects(show(operator, page.statement(change)), { code });
  const text = good.bytes.toString("utf8");
  for (const [altered, code] of [
    [text.replace('"minutes":30', '"minutes":31'), "ERR_PRESENCE_TEXT"],
    [text.replace("{", "{ "), "ERR_PRESENCE_STATEMENT"],
    [text.replace("person.pass", "person.past"), "ERR_PRESENCE_STATEMENT"],
  ] as const)
    await assert.rejects(show(operator, { bytes: Buffer.from(altered) }), { code });
  // THREAT-04: an issuer asks for its own realm alone.
  await assert.rejects(show(consumer, good), { code: "ERR_PRESENCE_ACTION" });
  const { id } = await show(enterprise, good);
  assert.match(await (await page.get(`/${id}`)).text(), /the sign-in of realm enterprise/);
  for (const change of [
    { issuedAt: now - 1, expiresAt: now + 1 },
    { issuedAt: now + 30, expiresAt: now + 31 },
  ])
    assert.ok(await show(operator, page.statement(change)));
  assert.equal(page.events.filter(({ name }) => name === "statement_refused").length, 9);
});

test("several approve one statement, each with another passkey of those that may", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const [one, two, stranger] = [passkey(), passkey(), passkey()];
  const credentials = [one.credentialId, two.credentialId];
  const { id } = await show(operator, statement, { approvers: 2, credentials });
  const approve = (key: typeof one) => page.post(`/${id}/assertion`, assertionOf(key, statement));
  const first = await approve(one);
  assert.deepEqual([first.status, first.isOver], [200, false]);
  assert.match(first.message, /Approved by 1 of 2/);
  const text = await (await page.get(`/${id}`)).text();
  assert.match(text, /Needs 2 approvals, each by another person; has 1/);
  // The browser is not asked for the first one again.
  assert.equal(text.includes(one.credentialId), false);
  assert.equal(text.includes(two.credentialId), true);
  assert.match((await approve(one)).message, /has approved already/);
  assert.match((await approve(stranger)).message, /may not approve this/);
  assert.equal((await collect(operator, id)).assertions.length, 1);
  assert.equal((await approve(two)).isOver, true);
  const { state, assertions } = await collect(operator, id);
  assert.equal(state, "collected");
  assert.deepEqual(
    assertions.map(({ credentialId }) => credentialId),
    credentials,
  );
});

test("a veto ends it, and takes what others approved with it", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id } = await show(operator, statement, { approvers: 2 });
  await page.post(`/${id}/assertion`, assertionOf(passkey(), statement));
  const waiting = collect(operator, id, 20_000);
  assert.deepEqual(await page.post(`/${id}/decline`, {}), {
    status: 200,
    message: "Declined: it will not be done.",
    isOver: true,
  });
  assert.deepEqual(await waiting, { state: "declined", assertions: [] });
  assert.equal(
    (await page.post(`/${id}/assertion`, assertionOf(passkey(), statement))).status,
    409,
  );
  assert.match(await (await page.get(`/${id}`)).text(), /Somebody declined this/);
});

test("THREAT-20: from its end on a statement is shown to nobody, and what was collected is gone", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id } = await show(operator, statement, { approvers: 2 });
  page.clock.forward(299);
  assert.match(await (await page.get(`/${id}`)).text(), /Still good for 1 second\./);
  assert.equal(
    (await page.post(`/${id}/assertion`, assertionOf(passkey(), statement))).status,
    200,
  );
  page.clock.forward(1);
  const answer = await page.get(`/${id}`);
  assert.equal(answer.status, 410);
  assert.match(await answer.text(), /Too late/);
  const late = await page.post(`/${id}/assertion`, assertionOf(passkey(), statement));
  assert.deepEqual([late.status, late.isOver], [409, true]);
  assert.deepEqual(await collect(operator, id, 20_000), { state: "expired", assertions: [] });
  page.clock.forward(600);
  assert.ok(await show(operator, page.statement()));
  assert.equal((await page.get(`/${id}`)).status, 404);
});

test("an address that leads to nothing says so in plain words", async () => {
  await using page = await TestPresence.open();
  for (const path of ["/", "/x", `/${"A".repeat(22)}`, `/${"A".repeat(22)}/x`, "/../etc/passwd"]) {
    const answer = await page.get(path);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /Nothing to approve here/);
  }
  const said = await page.post(`/${"A".repeat(22)}/assertion`, {});
  assert.deepEqual([said.status, said.isOver], [404, true]);
});

test("THREAT-26, THREAT-36: one caller fills its own places and no other's; what has ended gives way", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  await using issuer = page.connect("issuer-enterprise");
  const ids: string[] = [];
  for (let i = 0; i < MAX_OF_CALLER; i++)
    ids.push((await show(operator, page.statement({}, Buffer.alloc(16, i)))).id);
  assert.equal(new Set(ids).size, MAX_OF_CALLER);
  const busy = { code: "ERR_PRESENCE_BUSY" };
  await assert.rejects(show(operator, page.statement()), busy);
  assert.ok(await show(issuer, page.statement()));
  assert.equal((await collect(operator, ids[0] ?? "")).state, "open");
  await ask(operator, PRESENCE.close, { id: ids[0] ?? "" });
  assert.ok(await show(operator, page.statement()));
  await assert.rejects(show(operator, page.statement()), busy);
  page.clock.forward(300);
  assert.ok(await show(operator, page.statement()));
});

test("THREAT-26: a body that is too large or too deep is refused", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const { id } = await show(operator, page.statement());
  const path = `/${id}/assertion`;
  assert.equal((await page.post(path, { signature: "A".repeat(20_000) })).status, 413);
  assert.equal((await page.post(path, { a: { b: { c: 1 } } })).status, 400);
  assert.equal((await collect(operator, id)).state, "open");
});

test("THREAT-19: no event holds an id, which leads to the page, nor a challenge", async () => {
  await using page = await TestPresence.open();
  await using operator = page.connect();
  const statement = page.statement();
  const { id } = await show(operator, statement);
  await page.post(`/${id}/assertion`, assertionOf(passkey(), statement, {}, LOGIN_ORIGIN));
  await page.post(`/${id}/assertion`, assertionOf(passkey(), statement));
  const said = JSON.stringify(page.events);
  assert.match(said, /"part":"origin"/);
  assert.equal(said.includes(id), false);
  assert.equal(
    said.includes(openStatement(statement.bytes).challenge.toString("base64url")),
    false,
  );
});

test("who waits hears at once that the process stops", async () => {
  const page = await TestPresence.open();
  await using operator = page.connect();
  const { id } = await show(operator, page.statement());
  const waiting = collect(operator, id, 20_000);
  // The answer to a later question shows that the first one has come.
  await collect(operator, id);
  const started = performance.now();
  await page[Symbol.asyncDispose]();
  assert.equal((await waiting).state, "open");
  assert.ok(performance.now() - started < 5000);
});
