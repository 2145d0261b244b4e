import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import {
  encodeCredentials,
  signStatement,
  type SignedStatement,
  type StatementBody,
} from "@redoubt/registry";
import {
  encodeVerifierKey,
  hashLeaf,
  openCheckpoint,
  parseEntryBundle,
  verifyConsistency,
  verifyInclusion,
  type VerifierKey,
} from "@redoubt/tlog";
import { FakeLedger, FakeLog, requesterOf } from "@redoubt/testkit";
import { ask, askForBytes, LEDGER, type Requester } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  REGISTRY,
  refusalOf,
  type TestCaller,
} from "./testing/deployment.ts";
import { randomEntries, TestWriter } from "./testing/writer.ts";

/** What both the ledger and what stands in for it in the tests of others must be. */
interface Subject extends AsyncDisposable {
  readonly writer: TestWriter;
  readonly keys: ReadonlyMap<string, VerifierKey>;
  as(caller: TestCaller): Requester;
  /** Different ones, in an operator's name. */
  statement(number: number): SignedStatement;
  signed(body: StatementBody): SignedStatement;
  /** The consumers' log answers nothing any more. */
  halt(): void;
}

async function realLedger(): Promise<Subject> {
  const stack = new AsyncDisposableStack();
  const deployment = stack.use(await createDeployment());
  const ledger = await deployment.open();
  return {
    writer: deployment.consumer,
    keys: deployment.logKeys,
    as: (caller) => stack.use(deployment.connect(caller)),
    statement: (number) => deployment.statement(tenant(number)),
    signed: (body) => deployment.statement(body),
    halt: () => ledger.logs.get(CONSUMER)?.halt("test"),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function fakeLedger(): Promise<Subject> {
  const writer = new TestWriter(CONSUMER);
  const [registry, issuance] = [new FakeLog(REGISTRY), new FakeLog(CONSUMER, writer.key)];
  const { privateKey } = generateKeyPairSync("ed25519");
  const ledger = new FakeLedger({ registry, issuance });
  return {
    writer,
    keys: new Map([registry, issuance].map(({ origin, key }) => [origin, key])),
    as: (caller) => requesterOf(ledger.handler, caller),
    statement: (number) => signStatement(tenant(number), { name: "operator", privateKey }, 1),
    signed: (body) => signStatement(body, { name: "operator", privateKey }, 1),
    halt: () => void ledger.halted.add(CONSUMER),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const id = "9188040d-6c67-4c5b-b112-36a304b66dad";

function client(credentialsHash: string): StatementBody {
  const who = { realm: "consumer", tenant: id, client: "app" };
  const rights = { status: "active", audiences: [], scopes: [] } as const;
  return { type: "client", ...who, ...rights, credentialsHash };
}

function tenant(number: number): StatementBody {
  const audiences = [`api://${number}`];
  return { type: "tenant", realm: "consumer", tenant: id, status: "active", audiences };
}

function open(note: string, { keys, writer }: Subject, origin = CONSUMER) {
  const key = keys.get(origin);
  assert.ok(key);
  const verifiers = origin === CONSUMER ? [key, writer.key] : [key];
  const opened = openCheckpoint(note, { origin, verifiers });
  assert.equal(opened.verified.length, verifiers.length);
  return opened;
}

for (const [name, start] of Object.entries({ realLedger, fakeLedger }))
  describe(`docs/spec/wire.md §4: the ${name === "realLedger" ? "ledger" : "fake of it"}`, () => {
    it("begins with empty logs, and says who writes them", async () => {
      await using subject = await start();
      const [signer, operator] = [subject.as("signer-consumer"), subject.as("operator")];
      const empty = { size: 0, checkpoint: "", cosigned: "" };
      const vkey = encodeVerifierKey(subject.keys.get(CONSUMER) ?? assert.fail());
      const opened = { log: CONSUMER, vkey, ...empty };
      assert.deepEqual(await ask(signer, LEDGER.openLog, { log: CONSUMER }), opened);
      const state = await ask(signer, LEDGER.state, { log: CONSUMER });
      assert.deepEqual(state, { ...opened, hashes: [] });
      const page = await ask(signer, LEDGER.registry, { from: 0, max: 1 });
      assert.deepEqual(page, { from: 0, ...empty, items: [] });
      const { logs } = await ask(operator, LEDGER.logs, {});
      const writer = encodeVerifierKey(subject.writer.key);
      const found = logs.filter(({ log }) => [CONSUMER, REGISTRY].includes(log));
      assert.deepEqual(
        new Set(found.map((log) => [log.log, log.writer, log.size].join())),
        new Set([`${CONSUMER},${writer},0`, `${REGISTRY},,0`]),
      );
    });

    it("commits batches once, and proves what it holds", async () => {
      await using subject = await start();
      const signer = subject.as("signer-consumer");
      const entries: Buffer[] = [];
      for (const count of [3, 1, 4]) {
        const { head, attachment, entries: own } = subject.writer.next(randomEntries(count));
        entries.push(...own);
        const said = await ask(signer, LEDGER.commit, head, attachment);
        const again = await ask(signer, LEDGER.commit, head, attachment);
        assert.deepEqual([said.size, again], [entries.length, said]);
        const { root } = open(said.checkpoint, subject);
        assert.deepEqual(root, subject.writer.range.root());
      }
      const asked = { log: CONSUMER, from: 2, max: 5 };
      const { answer, attachment } = await askForBytes(signer, LEDGER.entries, asked);
      assert.deepEqual([answer.from, answer.count, answer.size], [2, 5, 8]);
      assert.deepEqual(parseEntryBundle(attachment), entries.slice(2, 7));
      const state = await ask(signer, LEDGER.state, { log: CONSUMER });
      assert.deepEqual(state.hashes, subject.writer.range.hashes());

      const proven = await ask(signer, LEDGER.prove, { log: CONSUMER, index: 3, size: 4 });
      assert.deepEqual([proven.index, proven.size, proven.leaf], [3, 4, entries[3]]);
      const { root: root4 } = open(proven.checkpoint, subject);
      const leafHash = hashLeaf(proven.leaf);
      verifyInclusion({ index: 3, size: 4, leafHash, root: root4, proof: proven.proof });

      const sizes = { size1: 4, size2: 8 };
      const grown = await ask(signer, LEDGER.proveGrowth, { log: CONSUMER, ...sizes });
      const { root: root8 } = open(grown.checkpoint, subject);
      verifyConsistency({ ...sizes, root1: root4, root2: root8, proof: grown.proof });

      const digest = Buffer.from(entries[6]?.subarray(1, 33) ?? []);
      const monitor = subject.as("monitor");
      assert.deepEqual(await ask(monitor, LEDGER.find, { log: CONSUMER, digest }), { index: 6 });
    });

    it("gives a batch of one back as it was committed", async () => {
      await using subject = await start();
      const signer = subject.as("signer-consumer");
      const { head, attachment } = subject.writer.next(randomEntries(1));
      await ask(signer, LEDGER.commit, head, attachment);
      const operator = subject.as("operator");
      const batch = await askForBytes(operator, LEDGER.batch, { log: CONSUMER, index: 0 });
      const { entriesBytes } = head;
      assert.deepEqual(batch.answer, { first: 0, count: 1, entriesBytes });
      assert.deepEqual(batch.attachment, attachment);
      const none = operator.request({ op: "batch", log: CONSUMER, index: 1 });
      assert.equal(await refusalOf(none), "ERR_LEDGER_NOT_FOUND");
    });

    it("appends statements, and shows them", async () => {
      await using subject = await start();
      const [operator, monitor] = [subject.as("operator"), subject.as("monitor")];
      const waiting = ask(monitor, LEDGER.wait, { log: REGISTRY, size: 0, timeoutMs: 5000 });
      const said = [subject.statement(1), subject.statement(2)];
      for (const [index, { statement, envelope }] of said.entries()) {
        const own = { log: REGISTRY, statement, envelope, ifSize: index };
        const answer = await ask(operator, LEDGER.append, own);
        assert.deepEqual([answer.index, answer.size], [index, index + 1]);
        assert.equal(open(answer.checkpoint, subject, REGISTRY).size, index + 1);
      }
      assert.ok((await waiting).size <= 2);
      const page = await ask(monitor, LEDGER.registry, { from: 0, max: 5 });
      assert.deepEqual([page.from, page.size, page.items], [0, 2, said]);
      const next = await ask(monitor, LEDGER.registry, { from: 1, max: 1 });
      assert.deepEqual(next.items, said.slice(1));
      const sizes = { size1: 1, size2: 2 };
      const { proof } = await ask(monitor, LEDGER.proveGrowth, { log: REGISTRY, ...sizes });
      assert.equal(proof.length, 1);
    });

    it("shows a statement and a client's credentials to whom they concern", async () => {
      await using subject = await start();
      const { bytes, hash } = encodeCredentials({ secrets: [], keys: [] });
      const [tenantSaid, clientSaid] = [subject.statement(1), subject.signed(client(hash))];
      const operator = subject.as("operator");
      for (const said of [tenantSaid, { ...clientSaid, credentials: bytes }]) {
        const { statement, envelope } = said;
        const credentials = "credentials" in said ? said.credentials : undefined;
        const own = { log: REGISTRY, statement, envelope, credentials };
        await ask(operator, LEDGER.append, own);
      }
      const whole = { ...clientSaid, credentials: bytes };
      const { entry } = clientSaid;
      const expected: readonly (readonly [TestCaller, readonly object[]])[] = [
        ["operator", [tenantSaid, whole]],
        ["issuer-consumer", [tenantSaid, whole]],
        ["issuer-enterprise", [{ entry: tenantSaid.entry }, { entry }]],
        ["monitor", [tenantSaid, clientSaid]],
        ["signer-consumer", [tenantSaid, clientSaid]],
        ["signer-enterprise", [tenantSaid, clientSaid]],
        ["publisher", [tenantSaid, { entry }]],
      ];
      for (const [caller, items] of expected) {
        const page = await ask(subject.as(caller), LEDGER.registry, { from: 0, max: 5 });
        assert.deepEqual(page.items, items, caller);
      }
    });

    it("takes a client's credentials where they are what the statement names, and only there", async () => {
      await using subject = await start();
      const [named, other] = [1, 2].map(() => encodeCredentials({ secrets: [], keys: [] }));
      assert.ok(named && other);
      const operator = subject.as("operator");
      const cases = [
        [subject.signed(client(named.hash)), other.bytes],
        [subject.signed(client(named.hash)), undefined],
        [subject.statement(1), named.bytes],
      ] as const;
      const codes: string[] = [];
      for (const [{ statement, envelope }, credentials] of cases) {
        const own = { log: REGISTRY, statement, envelope, credentials };
        codes.push(await refusalOf(ask(operator, LEDGER.append, own)));
      }
      assert.deepEqual(codes, [
        "ERR_CLIENT_CREDENTIALS",
        "ERR_LEDGER_BODY",
        "ERR_CLIENT_CREDENTIALS",
      ]);
      assert.equal((await ask(operator, LEDGER.registry, { from: 0, max: 1 })).size, 0);
    });

    it("answers nothing of a log that is halted, and of the others everything", async () => {
      await using subject = await start();
      const { head, attachment } = subject.writer.next(randomEntries(1));
      const [signer, monitor] = [subject.as("signer-consumer"), subject.as("monitor")];
      await ask(signer, LEDGER.commit, head, attachment);
      subject.halt();
      const log = CONSUMER;
      const asked = [
        signer.request(head, attachment),
        signer.request({ op: "openLog", log }),
        signer.request({ op: "state", log }),
        monitor.request({ op: "entries", log, from: 0, max: 1 }),
        monitor.request({ op: "prove", log, index: 0 }),
        monitor.request({ op: "proveGrowth", log, size1: 1, size2: 1 }),
        monitor.request({ op: "find", log, digest: "A".repeat(43) }),
        monitor.request({ op: "wait", log, size: 1, timeoutMs: 1 }),
      ];
      const codes = await Promise.all(asked.map((one) => refusalOf(one)));
      assert.deepEqual(new Set(codes), new Set(["ERR_LEDGER_HALTED"]));
      const { logs } = await ask(monitor, LEDGER.logs, {});
      assert.equal(logs.find((one) => one.log === log)?.size, 1);
      const { statement, envelope } = subject.statement(1);
      await ask(subject.as("operator"), LEDGER.append, { log: REGISTRY, statement, envelope });
      assert.equal((await ask(monitor, LEDGER.registry, { from: 0, max: 1 })).size, 1);
    });

    it("refuses what is not so, with the same codes", async () => {
      await using subject = await start();
      const { writer } = subject;
      const first = writer.next(randomEntries(2));
      const signer = subject.as("signer-consumer");
      await ask(signer, LEDGER.commit, first.head, first.attachment);
      const said = subject.statement(1);
      const stranger = new TestWriter(CONSUMER);
      const [foreign, fork] = [stranger.next(randomEntries(2)), new TestWriter(CONSUMER)];
      Object.assign(fork, { signer: writer.signer });
      const rival = fork.next(randomEntries(2));
      const good = writer.next(randomEntries(1));
      const ahead = writer.next(randomEntries(1));
      const [other] = writer.next(randomEntries(1)).entries;
      const wrong = Buffer.from(good.attachment);
      other?.copy(wrong, 2);
      const digest = "A".repeat(43);
      const log = CONSUMER;
      const append = {
        op: "append",
        log: REGISTRY,
        statement: said.statement.toString("base64url"),
        envelope: said.envelope.toString("base64url"),
      };
      const restore = { op: "restore", log: REGISTRY, note: "x", from: 0, items: [], proof: [] };
      const rows: readonly (readonly [string, TestCaller, object, Buffer?])[] = [
        ["ERR_LEDGER_SIZE", "signer-consumer", rival.head, rival.attachment],
        ["ERR_LEDGER_SIZE", "signer-consumer", ahead.head, ahead.attachment],
        ["ERR_LEDGER_SIZE", "operator", { ...append, ifSize: 1 }],
        ["ERR_LEDGER_ROOT", "signer-consumer", good.head, wrong],
        [
          "ERR_LEDGER_WRITER",
          "signer-consumer",
          { ...good.head, checkpoint: foreign.head.checkpoint },
          good.attachment,
        ],
        ["ERR_LEDGER_DENIED", "operator", good.head, good.attachment],
        ["ERR_LEDGER_DENIED", "operator", { ...append, log }],
        ["ERR_LEDGER_DENIED", "signer-consumer", { op: "state", log: "x" }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "state", log: "x" }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "find", log, digest }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "prove", log, index: 2 }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "prove", log, index: 0, size: 1 }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "proveGrowth", log, size1: 1, size2: 3 }],
        ["ERR_LEDGER_NOT_FOUND", "monitor", { op: "proveGrowth", log, size1: 2, size2: 1 }],
        ["ERR_LEDGER_RESTORE", "operator", restore],
        ["ERR_REQUEST_MEMBER", "monitor", { op: "state", log, more: 1 }],
        ["ERR_REQUEST_MEMBER", "monitor", { op: "entries", log, from: 0, max: 4097 }],
        ["ERR_REQUEST_MEMBER", "monitor", { op: "registry", from: 0, max: 513 }],
        ["ERR_REQUEST_OP", "operator", { op: "sign" }],
      ];
      for (const [code, caller, head, attachment] of rows)
        assert.equal(
          await refusalOf(subject.as(caller).request(head, attachment)),
          code,
          JSON.stringify(head).slice(0, 100),
        );
      assert.equal((await ask(signer, LEDGER.state, { log })).size, 2);
      assert.equal((await ask(signer, LEDGER.commit, good.head, good.attachment)).size, 3);
    });
  });
