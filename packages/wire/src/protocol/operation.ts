import type { Reply } from "../client.ts";
import type { Answer, Call } from "../connection.ts";
import type { Head } from "../frame.ts";
import type { Shape, Values } from "./member.ts";
import { message, type Message } from "./message.ts";

/** A question of one socket and its answer (docs/spec/wire.md): clients and servers are built from it. */
export interface Operation<Q, A> {
  readonly op: string;
  readonly request: Message<Q>;
  readonly answer: Message<A>;
}

export function operation<Q extends Shape, A extends Shape>(
  op: string,
  request: Q,
  answer: A,
): Operation<Values<Q>, Values<A>> {
  return { op, request: message(op, request), answer: message(`${op} answer`, answer) };
}

/** What is asked with an operation, and what is answered. */
export type Asked<O> = O extends { readonly request: Message<infer Q> } ? Q : never;
export type Answered<O> = O extends { readonly answer: Message<infer A> } ? A : never;

/** A connection to a service, or what stands in for one in a test. */
export interface Requester {
  request(head: Head, attachment?: Uint8Array): Promise<Reply>;
}

/** An answer that came with bytes. */
export interface WithBytes<A> {
  readonly answer: A;
  readonly attachment: Buffer;
}

/**
 * Asks a service.
 *
 * @throws RemoteError if it refuses; WireError if no answer came; ServiceError `ERR_REQUEST_MEMBER` if the answer is
 *   not what the operation says
 */
export async function ask<Q, A>(
  service: Requester,
  asked: Operation<Q, A>,
  request: Q,
  attachment?: Uint8Array,
): Promise<A> {
  return (await askForBytes(service, asked, request, attachment)).answer;
}

/** As `ask`, where bytes come with the answer. */
export async function askForBytes<Q, A>(
  service: Requester,
  { op, request: asked, answer }: Operation<Q, A>,
  request: Q,
  attachment?: Uint8Array,
): Promise<WithBytes<A>> {
  const reply = await service.request({ op, ...asked.write(request) }, attachment);
  return { answer: answer.read(reply.head), attachment: reply.attachment };
}

/** What a service does for one operation. */
export interface Route {
  readonly op: string;
  handle(call: Call): Promise<Answer>;
}

/** @param handle gets what was asked, as the operation defines it, and the call with its caller */
export function route<Q, A>(
  asked: Operation<Q, A>,
  handle: (request: Q, call: Call) => A | Promise<A>,
): Route {
  return routeWithBytes(asked, async (request, call) => ({
    answer: await handle(request, call),
  }));
}

/** As `route`, where bytes go with the answer. */
export function routeWithBytes<Q, A>(
  { op, request, answer }: Operation<Q, A>,
  handle: (
    request: Q,
    call: Call,
  ) =>
    | { readonly answer: A; readonly attachment?: Uint8Array }
    | Promise<{ readonly answer: A; readonly attachment?: Uint8Array }>,
): Route {
  return {
    op,
    handle: async (call) => {
      const { answer: said, attachment } = await handle(request.read(call.head), call);
      return { head: answer.write(said), ...(attachment && { attachment }) };
    },
  };
}

/** Finds what was asked for by its name. */
export function routesByName(routes: readonly Route[]): ReadonlyMap<string, Route> {
  return new Map(routes.map((one) => [one.op, one]));
}
