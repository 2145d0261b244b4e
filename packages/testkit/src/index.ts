export { changed, FakeLedger, type Honest } from "./fake-ledger.ts";
export { FakeLog } from "./fake-log.ts";
export { requesterOf } from "./requester.ts";
