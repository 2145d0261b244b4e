import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { Places, type Place, type PlaceLimits } from "./places.ts";

/** Places whose connections have names; `closed` are those that lost their place, in order. */
class World {
  readonly closed: string[] = [];
  readonly events: string[] = [];
  readonly exhausted: boolean[] = [];
  readonly places: Places;

  constructor(limits: Partial<PlaceLimits> = {}) {
    this.places = new Places({
      limits: { connections: 4, perName: 2, named: 3, calmMs: 10_000, ...limits },
      sink: (name, fields) => void this.events.push(`${name} ${JSON.stringify(fields)}`),
      onExhausted: (isExhausted) => void this.exhausted.push(isExhausted),
    });
  }

  silent(name: string): Place {
    return this.places.admit(() => void this.closed.push(name));
  }

  idle(name: string): Place {
    const place = this.silent(name);
    place.running();
    place.answered();
    return place;
  }

  reading(name: string): Place {
    const place = this.silent(name);
    place.reading();
    return place;
  }

  running(name: string): Place {
    const place = this.silent(name);
    place.running();
    return place;
  }

  named(name: string, owner: string): Place {
    const place = this.running(name);
    place.promote(owner);
    place.answered();
    return place;
  }
}

describe("THREAT-36: places for strangers", () => {
  test("up to the bound everybody stays; then the one that was silent longest goes", () => {
    const world = new World();
    for (const name of ["a", "b", "c", "d"]) world.silent(name);
    assert.deepEqual(world.closed, []);
    world.silent("e");
    world.silent("f");
    assert.deepEqual(world.closed, ["a", "b"]);
    assert.deepEqual(world.places.counts(), { unproven: 4, named: 0, evicted: 2 });
  });

  test("silent ones go before idle ones, idle ones in the order of their last answer", () => {
    const world = new World();
    const first = world.idle("idle 1");
    world.idle("idle 2");
    world.silent("silent 1");
    world.silent("silent 2");
    first.running();
    first.answered();
    world.running("a");
    world.running("b");
    world.running("c");
    assert.deepEqual(world.closed, ["silent 1", "idle 2", "idle 1"]);
  });

  test("a newcomer outlives the next ones where all others are idle", () => {
    const world = new World();
    for (const name of ["1", "2", "3", "4"]) world.idle(name);
    const newcomer = world.silent("newcomer");
    world.silent("next");
    newcomer.running();
    world.silent("and next");
    assert.deepEqual(world.closed, ["1", "2", "3"]);
  });

  test("a body that does not come goes before a request under way, which goes last", () => {
    const world = new World();
    world.running("running 1");
    world.reading("reading");
    world.idle("idle");
    world.running("running 2");
    world.running("running 3");
    world.running("running 4");
    world.running("running 5");
    assert.deepEqual(world.closed, ["idle", "reading", "running 1"]);
  });

  test("a pipelined request is under way until the last of them is answered", () => {
    const world = new World({ connections: 2 });
    const place = world.running("pipelined");
    place.reading();
    place.running();
    place.answered();
    world.running("other");
    world.running("newcomer");
    assert.deepEqual(world.closed, ["pipelined"]);
    const idle = new World({ connections: 2 });
    const [twice, other] = [idle.running("twice"), idle.running("other")];
    twice.running();
    twice.answered();
    other.answered();
    idle.running("newcomer");
    assert.deepEqual(idle.closed, ["other"]);
  });

  test("who is gone has given the place back, once", () => {
    const world = new World({ connections: 1 });
    const place = world.running("a");
    place.gone();
    place.gone();
    place.answered();
    place.promote("name");
    world.silent("b");
    assert.deepEqual(world.closed, []);
    assert.deepEqual(world.places.counts(), { unproven: 1, named: 0, evicted: 0 });
  });
});

describe("THREAT-36: places of a name", () => {
  test("no stranger takes them", () => {
    const world = new World();
    world.named("mine", "client");
    for (let at = 0; at < 5000; at += 1) world.silent(`s${at}`);
    assert.equal(world.closed.includes("mine"), false);
    assert.deepEqual(world.places.counts(), { unproven: 4, named: 1, evicted: 4996 });
  });

  test("a name that has all of its own gives back the longest idle one of its own", () => {
    const world = new World();
    world.named("other", "other");
    for (const name of ["1", "2", "3"]) world.named(name, "client");
    assert.deepEqual(world.places.counts(), { unproven: 1, named: 3, evicted: 0 });
    for (const name of ["a", "b", "c", "d", "e"]) world.running(name);
    assert.deepEqual(world.closed, ["1", "a"]);
  });

  test("a full pool of strangers loses nobody when a name exchanges its connections", () => {
    const world = new World();
    world.named("1", "client");
    world.named("2", "client");
    for (const name of ["a", "b", "c"]) world.running(name);
    world.named("3", "client");
    assert.deepEqual(world.closed, []);
    assert.deepEqual(world.places.counts(), { unproven: 4, named: 2, evicted: 0 });
  });

  test("a name whose requests are all under way gets no more, nor do new names past the bound of all", () => {
    const world = new World({ connections: 8 });
    for (const name of ["1", "2", "3"]) world.running(name).promote("client");
    assert.deepEqual(world.places.counts(), { unproven: 1, named: 2, evicted: 0 });
    world.named("4", "second");
    world.named("5", "third");
    assert.deepEqual(world.places.counts(), { unproven: 2, named: 3, evicted: 0 });
  });

  test("the same name again changes nothing, another one moves the connection", () => {
    const world = new World();
    const place = world.named("1", "client");
    place.promote("client");
    place.promote("second");
    world.named("2", "client");
    world.named("3", "client");
    assert.deepEqual(world.places.counts(), { unproven: 0, named: 3, evicted: 0 });
    place.gone();
    assert.deepEqual(world.places.counts(), { unproven: 0, named: 2, evicted: 0 });
  });
});

test("running out is said once, and once when it is over", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const world = new World();
    for (let at = 0; at < 100; at += 1) world.silent(`${at}`);
    mock.timers.tick(9000);
    world.silent("later");
    mock.timers.tick(1000);
    assert.deepEqual(world.exhausted, [true]);
    mock.timers.tick(10_000);
    assert.deepEqual(world.exhausted, [true, false]);
    assert.deepEqual(world.events, [
      'connections_full {"unproven":3,"named":0}',
      'connections_free {"evicted":97}',
    ]);
    world.silent("again");
    world.places[Symbol.dispose]();
    mock.timers.tick(60_000);
    assert.deepEqual(world.exhausted, [true, false, true]);
  } finally {
    mock.timers.reset();
  }
});
