import { FakeSigner, serveFake } from "./fake-services.ts";

// A signer in a process of its own, which a test can freeze. Tells its parent of each token that it signs.
const [root = ""] = process.argv.slice(2);
const signer = new FakeSigner();
signer.issue = (head) => {
  process.send?.("signed");
  return signer.sign(head);
};
await serveFake(root, "signer-enterprise", "issuer", signer.handler);
process.send?.("ready");
