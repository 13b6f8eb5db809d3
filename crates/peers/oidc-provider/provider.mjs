// An OpenID Provider whose refresh tokens rotate: a second use of one ends its grant. Every login is
// accepted. `POST /revoke` ends all grants. It prints a line for each grant of tokens.
//
// Arguments: the port, the redirect URI of the client `wharfinger`, its secret, the modules.
import { pathToFileURL } from 'node:url';

const [port, redirectUri, secret, modules] = process.argv.slice(2);
const entry = pathToFileURL(`${modules}/oidc-provider/lib/index.js`);
const { default: Provider } = await import(entry);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'wharfinger',
      client_secret: secret,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
    },
  ],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  scopes: ['openid', 'email', 'groups'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false,
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      email: `${id}@example.com`,
      email_verified: id !== 'unverified',
      groups: ['red', 'blue'],
    }),
  }),
});

const grants = new Map();
provider.on('grant.success', ({ oidc }) => {
  const { Grant: grant } = oidc.entities;
  grants.set(grant.jti, grant);
  console.log(`granted: ${oidc.params.grant_type}`);
});
provider.on('grant.error', ({ oidc }, error) => {
  console.log(`refused: ${oidc.params?.grant_type}: ${error.error_detail ?? error.message}`);
});

provider.use(async (ctx, next) => {
  if (ctx.method !== 'POST' || ctx.path !== '/revoke') return next();
  for (const grant of grants.values()) await grant.destroy();
  ctx.status = 204;
});

provider.listen(port, '127.0.0.1');
