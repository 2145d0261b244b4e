import {
  createSocketPlace,
  readSocketSecret,
  serveSocket,
  socketPlace,
  type Handler,
} from "@redoubt/wire";

/** Who reaches it, by what name, in which data folder. */
export interface FakePlace {
  readonly root: string;
  readonly service: string;
  readonly caller: string;
}

/** What stands in for a service: on the socket of one caller, once it is started; without a place, only in memory. */
export abstract class FakeService {
  abstract readonly handler: Handler;
  readonly #place: FakePlace | undefined;
  #server: AsyncDisposable | undefined;

  constructor(place?: FakePlace) {
    this.#place = place;
    if (place) createSocketPlace(socketPlace(place.root, place.service, place.caller));
  }

  async start(): Promise<void> {
    if (!this.#place) throw new TypeError("A service without a place has no socket");
    const { root, service, caller } = this.#place;
    const place = socketPlace(root, service, caller);
    this.#server = await serveSocket({
      path: place.path,
      caller,
      secret: readSocketSecret(place),
      service,
      instance: "fake",
      handler: (call) => this.handler(call),
      sink: () => undefined,
    });
  }

  /** Connections break; what was not answered never is. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }
}
