import type { Demo } from "../demo.ts";
import { CONSUMER_TENANT } from "../layout.ts";

export const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
export const DEMO: Demo = {
  clients: [
    {
      realm: "consumer",
      tenant: CONSUMER_TENANT,
      client: "demo-consumer",
      secret: "s1",
      audience: "a1",
    },
    {
      realm: "enterprise",
      tenant: TENANT,
      client: "demo-enterprise",
      secret: "s2",
      audience: "a2",
    },
  ],
  reporters: [],
};
