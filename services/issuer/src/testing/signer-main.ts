import { FakeSigner } from "./fake-signer.ts";

// A signer in a process of its own, which a test can freeze. Tells its parent of each token that it signs.
const [root = ""] = process.argv.slice(2);
const signer = new FakeSigner({ root, service: "signer-enterprise", caller: "issuer" });
signer.issue = (head) => {
  process.send?.("signed");
  return signer.sign(head);
};
// What the test says to the registry: a realm, a tenant and a client.
signer.registrySize = () => 3;
await signer.start();
process.send?.("ready");
