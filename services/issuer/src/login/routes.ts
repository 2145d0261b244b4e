/** Paths of the protocol, below the tenant's part; by the names that the protocol library has for them. */
export const ROUTES = {
  authorization: "/authorize",
  pushed_authorization_request: "/par",
  token: "/token",
  userinfo: "/userinfo",
  revocation: "/revoke",
  end_session: "/sign-out",
} as const;
