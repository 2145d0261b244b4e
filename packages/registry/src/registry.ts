import { hash, type KeyObject } from "node:crypto";
import { parseVerifierKey, SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";
import type { Enrolments } from "@redoubt/presence";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { KeyRecord } from "@redoubt/verify/record";
import { KeyError } from "@redoubt/keys";
import { checkTransition, isDrill, isPublished } from "@redoubt/keys";
import { verifyKeyRecord, type SignedKeyRecord } from "@redoubt/keys";
import { credentialsOf, type ClientCredentials } from "./client-credentials.ts";
import { EnrolmentFold } from "./enrolment-fold.ts";
import { LogFold } from "./log-fold.ts";
import type {
  ClientInfo,
  ClosedLog,
  FoldResult,
  KeyEvent,
  KeyInfo,
  RealmInfo,
  RegistryItem,
  BrokerInfo,
  WriterInfo,
} from "./registry-types.ts";
import { RoleKeys, type KeyRole } from "./role-keys.ts";
import { operatorNamedBy, RootFold, type RootInfo } from "./root-fold.ts";
import {
  checkApart,
  checkDrill,
  checkIssuer,
  checkTenantRule,
  conflict,
  DRILL_AUDIENCE,
  ruleCovers,
} from "./scope-rules.ts";
import { parseStatement } from "./statement-parser.ts";
import type {
  BodyReadStatement,
  ClientStatement,
  EnrolmentStatement,
  KeyRetainStatement,
  KeyStatement,
  KeyStateStatement,
  RealmStatement,
  PinnedKeyStatement,
  ReporterStatement,
  RootStatement,
  Statement,
  TenantStatement,
  BrokerStatement,
  WriterStatement,
} from "./statement-types.ts";
import { isSignedBy, registryEntry, verifyStatementAuthor } from "./statement.ts";
import { Tally } from "./tally.ts";

/** Kept in memory by whoever folds the log. */
const MAX_BODY_READS = 256;

/**
 * The state that the registry log describes, as a fold over its entries (docs/spec/logs.md §4).
 * An entry that is wrong is void: it changes nothing, and whoever watches raises the alarm. Nobody but the named
 * author can change anything here, not even the log.
 */
export class Registry {
  #operator: VerifierKey;
  #formerOperators: readonly VerifierKey[] = [];
  readonly #realms = new Map<string, RealmInfo>();
  readonly #logs = new LogFold();
  readonly #tenants = new Map<string, TenantStatement>();
  readonly #clients = new Map<string, ClientInfo>();
  readonly #reporters = new Map<string, ReporterStatement>();
  readonly #enrolments = new EnrolmentFold();
  readonly #keys = new Map<string, KeyInfo>();
  readonly #pinnedKeys: PinnedKeyStatement[] = [];
  readonly #bodyReads: BodyReadStatement[] = [];
  readonly #roleKeys = new RoleKeys();
  readonly #roots = new RootFold();
  readonly #realmOfTenant = new Map<string, string>();
  readonly #audiences = new Tally();
  readonly #clientIds = new Tally();
  /** Digests of all that an author signed, void or not. Each has a nonce: whoever brings one again is not its author. */
  readonly #said = new Set<string>();
  #size = 0;
  #hidden = 0;

  /**
   * `operator` is the first operator's key, which stays pinned: roots name the operators that follow.
   *
   * @throws KeyError `ERR_KEY_ALG` if it is not an Ed25519 key
   */
  constructor(options: { readonly operator: VerifierKey }) {
    this.#operator = options.operator;
    if (this.#operator.type !== SIGNATURE_TYPE.ed25519)
      throw new KeyError("ERR_KEY_ALG", "Operator key is not an Ed25519 key");
    this.#roleKeys.addKey(this.#operator.publicKey, "operator");
  }

  get size(): number {
    return this.#size;
  }
  /** Whose statements count now. */
  get operator(): VerifierKey {
    return this.#operator;
  }
  /** Operators that roots replaced, oldest first. */
  get formerOperators(): readonly VerifierKey[] {
    return this.#formerOperators;
  }
  /** Entries without a body. Whoever may see every body must stop at the first: it might disable something. */
  get hidden(): number {
    return this.#hidden;
  }
  get realms(): ReadonlyMap<string, RealmInfo> {
    return this.#realms;
  }
  get writers(): ReadonlyMap<string, WriterInfo> {
    return this.#logs.writers;
  }
  /** Brokers' logs, by origin. */
  get brokers(): ReadonlyMap<string, BrokerInfo> {
    return this.#logs.brokers;
  }
  /** Those whose logs go on: only they grant leases. */
  get grantingBrokers(): readonly BrokerInfo[] {
    return [...this.brokers.values()].filter(({ log }) => !this.closedLogs.has(log));
  }
  /** Logs that nothing is added to any more, by origin. */
  get closedLogs(): ReadonlyMap<string, ClosedLog> {
    return this.#logs.closed;
  }
  /** How keys that configurations pin were replaced, in order. */
  get pinnedKeys(): readonly PinnedKeyStatement[] {
    return this.#pinnedKeys;
  }
  /** The newest readings of bodies, at most 256: each is good for a short time only. */
  get bodyReads(): readonly BodyReadStatement[] {
    return this.#bodyReads;
  }
  /** Whether some tenant may have tokens for this audience. */
  isAudience(audience: string): boolean {
    return this.#audiences.has(audience);
  }

  /** Keyed by `realm/tenant`. */
  get tenants(): ReadonlyMap<string, TenantStatement> {
    return this.#tenants;
  }
  /** Keyed by `realm/tenant/client`. */
  get clients(): ReadonlyMap<string, ClientInfo> {
    return this.#clients;
  }
  get reporters(): ReadonlyMap<string, ReporterStatement> {
    return this.#reporters;
  }
  /** Passkeys that count for approvals, or did once; keyed by `realm/credential`. */
  get enrolments(): Enrolments {
    return this.#enrolments.all;
  }
  get keys(): ReadonlyMap<string, KeyInfo> {
    return this.#keys;
  }
  /** The current chain of roots, from its version 1 to the newest; empty before the first. */
  get roots(): readonly RootInfo[] {
    return this.#roots.chain;
  }

  /** Whether both logs are of one line: they are the same, or one succeeded the other, perhaps with others between. */
  isSameLine(log: string, other: string): boolean {
    return this.#logs.lineage(log) === this.#logs.lineage(other);
  }

  /**
   * Names a key's ring: the keys of one realm, class, tenant selector and line of logs, drill keys apart. At most one of
   * them is active.
   */
  ringOf(record: KeyRecord): string {
    const { realm, class: tokenClass, tenants, log } = record;
    return JSON.stringify([realm, tokenClass, tenants, this.#logs.lineage(log), isDrill(record)]);
  }

  /** @throws RangeError when the items do not come in order: that is the reader's mistake, not the log's */
  apply(item: RegistryItem): FoldResult {
    if (item.index !== this.#size)
      throw new RangeError(`Registry item ${item.index}: expected ${this.#size}`);
    this.#size += 1;
    const { statement, envelope } = item;
    if (!statement || !envelope) {
      this.#hidden += 1;
      return { kind: "hidden" };
    }
    try {
      return { kind: "applied", statement: this.#fold(item, statement, envelope) };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const code = error instanceof KeyError ? error.code : "ERR_KEY_RECORD";
      return { kind: "void", code, reason: error.message };
    }
  }

  #fold(
    { index, entry, credentials }: RegistryItem,
    bytes: Uint8Array,
    envelope: Uint8Array,
  ): Statement {
    if (!registryEntry(bytes, envelope).equals(entry))
      throw new KeyError(
        "ERR_STATEMENT_DIGEST",
        "Statement is not the one that the entry commits to",
      );
    const statement = parseStatement(bytes);
    this.#verifyAuthor(statement, bytes, envelope);
    const proven = credentialsOf(statement, credentials);
    this.#refuseRepetition(bytes);
    this.#take(index, statement, proven);
    return statement;
  }

  // THREAT-06: whoever holds the log has every signed statement. He could append an old one again, to undo what came
  // after it, or one that was void, to have it count now.
  #refuseRepetition(bytes: Uint8Array): void {
    const digest = hash("sha256", bytes, "base64url");
    if (this.#said.has(digest)) throw conflict("Statement was made before");
    this.#said.add(digest);
  }

  // With the operator's key lost or in a thief's hands, k holders of root keys name another, who then says so itself.
  #verifyAuthor(statement: Statement, bytes: Uint8Array, envelope: Uint8Array): void {
    const named = statement.type === "root" ? operatorNamedBy(statement) : undefined;
    if (named && isSignedBy(bytes, envelope, named)) return;
    verifyStatementAuthor(bytes, envelope, this.#authorOf(statement));
  }

  #authorOf(statement: Statement): VerifierKey {
    switch (statement.type) {
      case "key":
      case "key-state":
        return this.#realm(statement.realm).ring;
      case "key-retain":
        return statement.by === "ring" ? this.#realm(statement.realm).ring : this.#operator;
      case "realm":
      case "writer":
      case "broker":
      case "log-closed":
      case "witness-forward":
      case "pinned-key":
      case "body-read":
      case "tenant":
      case "client":
      case "reporter":
      case "enrolment":
      case "root":
        return this.#operator;
    }
  }

  #take(index: number, statement: Statement, credentials: ClientCredentials | undefined): void {
    switch (statement.type) {
      case "realm":
        return this.#takeRealm(statement);
      case "writer":
        return this.#takeWriter(statement);
      case "broker":
        return this.#takeBroker(statement);
      case "log-closed":
        return this.#logs.takeClosed(statement);
      case "witness-forward":
        return undefined;
      case "pinned-key":
        return this.#takePinnedKey(statement);
      case "body-read":
        return this.#takeBodyRead(statement);
      case "tenant":
        return this.#takeTenant(statement);
      case "client":
        return this.#takeClient(index, statement, credentials);
      case "reporter":
        return this.#takeReporter(statement);
      case "enrolment":
        return this.#takeEnrolment(statement);
      case "key":
        return this.#takeKey(index, statement);
      case "key-state":
        return this.#takeKeyState(index, statement);
      case "key-retain":
        return this.#takeKeyRetain(index, statement);
      case "root":
        return this.#takeRoot(index, statement);
    }
  }

  #takeRoot(index: number, statement: RootStatement): void {
    const { operator, rings } = this.#roots.take(index, statement, {
      operator: this.#operator,
      realms: this.#realms,
      roleKeys: this.#roleKeys,
    });
    if (operator) {
      this.#formerOperators = [...this.#formerOperators, this.#operator];
      this.#operator = operator;
    }
    for (const [name, ring] of rings) {
      const realm = this.#realm(name);
      this.#realms.set(name, { ...realm, ring, formerRings: [...realm.formerRings, realm.ring] });
    }
  }

  // A realm's issuer is what every key of it hangs on: it is said once, and its ring changes by a root alone.
  #takeRealm(statement: RealmStatement): void {
    const { realm, issuer, tenantRule } = statement;
    if (this.#realms.has(realm)) throw conflict(`Realm ${realm} exists`);
    checkIssuer(statement);
    for (const other of this.#realms.values()) checkApart(other, statement);
    const ring = parseVerifierKey(statement.ring);
    const role = `ring:${realm}`;
    this.#roleKeys.checkKey(ring.publicKey, role);
    this.#roleKeys.addKey(ring.publicKey, role);
    this.#realms.set(realm, { realm, issuer, ring, formerRings: [], tenantRule });
  }

  #takeWriter(statement: WriterStatement): void {
    this.#realm(statement.realm);
    this.#logs.takeWriter(statement, this.#roleKeys);
  }

  #takeBroker(statement: BrokerStatement): void {
    for (const realm of statement.realms) this.#realm(realm);
    this.#logs.takeBroker(statement, this.#roleKeys);
  }

  #takePinnedKey(statement: PinnedKeyStatement): void {
    const { what, key, before } = statement;
    const known = this.#pinnedKeys.findLast((other) => other.what === what);
    if (known && known.key !== before) throw conflict(`Key of ${what} was another before`);
    if (key === before) throw conflict(`Key of ${what} stays the same`);
    const role = `pinned:${what}`;
    const next = parseVerifierKey(key).publicKey;
    this.#roleKeys.checkKey(next, role);
    if (before !== undefined) this.#retire(parseVerifierKey(before).publicKey, role);
    this.#roleKeys.addKey(next, role);
    this.#pinnedKeys.push(statement);
  }

  #retire(key: KeyObject, role: KeyRole): void {
    this.#roleKeys.checkKey(key, role);
    this.#roleKeys.addKey(key, `former ${role}`);
  }

  #takeBodyRead(statement: BodyReadStatement): void {
    this.#realm(statement.realm);
    this.#bodyReads.push(statement);
    if (this.#bodyReads.length > MAX_BODY_READS) this.#bodyReads.shift();
  }

  #takeTenant(statement: TenantStatement): void {
    const { realm, tenant, audiences } = statement;
    const key = `${realm}/${tenant}`;
    const before = this.#tenants.get(key);
    refuseOlder(statement, before);
    if (!ruleCovers(this.#realm(realm).tenantRule, tenant))
      throw conflict(`Tenant ${tenant} cannot be of realm ${realm}`);
    const owner = this.#realmOfTenant.get(tenant) ?? realm;
    if (owner !== realm) throw conflict(`Tenant ${tenant} is of realm ${owner}`);
    for (const audience of audiences) {
      if (audience === DRILL_AUDIENCE) throw conflict("The drill audience is nobody's");
      // ARCHITECTURE §5.2: stock clients ignore typ, so an API's audience must never be some client's id.
      if (this.#clientIds.has(audience)) throw conflict(`Audience ${audience} is a client id`);
    }
    this.#audiences.replace(before?.audiences ?? [], audiences);
    this.#realmOfTenant.set(tenant, realm);
    this.#tenants.set(key, statement);
  }

  #takeClient(
    index: number,
    statement: ClientStatement,
    credentials: ClientCredentials | undefined,
  ): void {
    const { realm, tenant, client, audiences } = statement;
    const owner = this.#tenants.get(`${realm}/${tenant}`);
    if (!owner) throw conflict(`Tenant ${realm}/${tenant} is not registered`);
    const key = `${realm}/${tenant}/${client}`;
    const before = this.#clients.get(key);
    refuseOlder(statement, before);
    for (const audience of audiences)
      if (!owner.audiences.includes(audience))
        throw conflict(`Audience ${audience} is not one of tenant ${tenant}`);
    if (this.#audiences.has(client)) throw conflict(`Client id ${client} is an audience`);
    this.#clientIds.replace(before ? [client] : [], [client]);
    this.#clients.set(key, { ...statement, index, credentials });
  }

  #takeReporter(statement: ReporterStatement): void {
    refuseOlder(statement, this.#reporters.get(statement.reporter));
    this.#reporters.set(statement.reporter, statement);
  }

  #takeEnrolment(statement: EnrolmentStatement): void {
    this.#realm(statement.realm);
    this.#enrolments.take(statement, this.#roleKeys);
  }

  #takeKey(index: number, { realm: name, kid, record: text, ring, at }: KeyStatement): void {
    const realm = this.#realm(name);
    const signed = verifyKeyRecord(
      decodeBase64url(text),
      decodeBase64url(ring, { bytes: 64 }),
      realm.ring.publicKey,
    );
    const { record } = signed;
    const known = this.#keys.get(kid);
    const event = { event: "generated", at, index, reason: null } as const;
    if (known) return this.#renew(known, signed, realm, event);
    this.#checkRecord(record, realm, kid);
    checkDrill(record, at);
    // ARCHITECTURE, "Trust data": a public key seen before is refused, in whatever role.
    const publicKey = { ...record.publicKey };
    this.#roleKeys.check(publicKey, `token:${kid}`);
    this.#roleKeys.add(publicKey, `token:${kid}`);
    this.#logs.takeName(record.log);
    const origin = { kid, realm: name, ring: realm.ring, index };
    const life = { state: "generated", stateAt: at, history: [event] } as const;
    this.#keys.set(kid, { ...signed, ...origin, ...life });
  }

  /** A new ring vouches for a key of the one before, in the same words: what its record says never changes. */
  #renew(
    known: KeyInfo,
    { record, ringSignature }: SignedKeyRecord,
    { realm, ring }: RealmInfo,
    event: KeyEvent,
  ): void {
    if (record.kid !== known.kid || known.realm !== realm)
      throw conflict("kid is not the record's hash");
    if (known.ring.publicKey.equals(ring.publicKey)) throw conflict("Key was registered before");
    const history = [...known.history, event];
    this.#keys.set(known.kid, { ...known, ring, ringSignature, history });
  }

  #checkRecord(record: KeyRecord, realm: RealmInfo, kid: string): void {
    if (record.kid !== kid) throw conflict("kid is not the record's hash");
    if (record.realm !== realm.realm || record.issuer !== realm.issuer)
      throw conflict(`Key record is not of realm ${realm.realm}`);
    this.#logs.checkName(record.log, realm.realm);
    checkTenantRule(record, realm.tenantRule);
    if (!("ids" in record.tenants)) return;
    for (const id of record.tenants.ids) {
      const owner = this.#realmOfTenant.get(id) ?? realm.realm;
      if (owner !== realm.realm) throw conflict(`Key record covers tenant ${id} of realm ${owner}`);
    }
  }

  #takeKeyState(index: number, { realm, kid, state, at, reason }: KeyStateStatement): void {
    const known = this.#key(realm, kid);
    const key = { ...known, history: [...known.history, { event: state, at, index, reason }] };
    checkTransition(key.state, state);
    // THREAT-11: in 2021 automation withdrew a key that was marked to be kept. Here nobody believes it.
    if (state === "retired" && key.retainedBy !== undefined)
      throw conflict("The key is retained: it stays published until that is taken back");
    // An author whose clock went back must still be able to taint a key: the statement counts, the time stays where it was.
    const stateAt = Math.max(at, key.stateAt);
    if (state === "active") {
      this.#activate(key, stateAt);
      this.#keys.set(kid, { activatedAt: stateAt, ...key, state, stateAt });
    } else this.#keys.set(kid, { ...key, state, stateAt });
  }

  #takeKeyRetain(index: number, statement: KeyRetainStatement): void {
    const { realm, kid, by, retain, at, reason } = statement;
    const { retainedBy, ...key } = this.#key(realm, kid);
    if (retain && !isPublished(key.state))
      throw conflict("Only a published key is kept from being withdrawn");
    // Automation holds the ring key: what the operator wants kept, it can neither lift nor take over.
    if (by === "ring" && retainedBy === "operator")
      throw conflict("The operator retains this key, and only the operator takes that back");
    const event = { event: retain ? "retained" : "released", at, index, reason } as const;
    const history = [...key.history, event];
    this.#keys.set(kid, { ...key, history, ...(retain && { retainedBy: by }) });
  }

  #key(realm: string, kid: string): KeyInfo {
    const key = this.#keys.get(kid);
    if (!key || key.realm !== realm)
      throw new KeyError("ERR_KEY_UNKNOWN", "No such key in this realm");
    return key;
  }

  #activate(key: KeyInfo, at: number): void {
    const { signFrom, signUntil } = key.record;
    // P1: whoever runs the drill holds the private half; such a key never signs for a realm.
    if (isDrill(key.record)) throw conflict("A drill key is never active");
    // Also bounds a roll-back: a key signs again only within the window that it was made for.
    if (at < signFrom || at >= signUntil)
      throw conflict("The key's signing window does not hold this time");
    const ring = this.ringOf(key.record);
    for (const other of this.#keys.values())
      if (other.state === "active" && this.ringOf(other.record) === ring)
        throw conflict("The ring has an active key: it must stop signing first");
  }

  #realm(name: string): RealmInfo {
    const realm = this.#realms.get(name);
    if (!realm) throw conflict(`Realm ${name} is not registered`);
    return realm;
  }
}

/** The ledger chooses when it appends a statement: an older one that it held back must not undo a newer one. */
function refuseOlder(statement: Statement, before: Statement | undefined): void {
  if (before && statement.at < before.at)
    throw conflict(`Statement of ${statement.at} is older than the one it replaces, ${before.at}`);
}
